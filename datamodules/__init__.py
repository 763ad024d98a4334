"""What the models learn from."""

from datamodules.aliexpress import AliExpress
from datamodules.batches import Batch, ImpressionBatch, PairBatch, PredictionBatch
from datamodules.category_mapper import CategoryMapper
from datamodules.impressions import ImpressionsDataModule
from datamodules.interactions import InteractionsDataModule
from datamodules.kuairand import KuaiRand
from datamodules.loader import BatchLoader
from datamodules.movielens import MovieLens
from datamodules.pairs import PairLoader
from datamodules.retailrocket import RetailRocket
from datamodules.rewards import RewardName, reward_function
from datamodules.session_env import SessionEnv
from datamodules.sessions import SessionsDataModule
from datamodules.synthetic import SyntheticInteractions
from datamodules.synthetic_impressions import SyntheticImpressions
from datamodules.transitions import LoggedTransition, Transition, logged_transitions

__all__ = [
    "AliExpress",
    "Batch",
    "BatchLoader",
    "CategoryMapper",
    "ImpressionBatch",
    "ImpressionsDataModule",
    "InteractionsDataModule",
    "KuaiRand",
    "LoggedTransition",
    "MovieLens",
    "PairBatch",
    "PairLoader",
    "PredictionBatch",
    "RetailRocket",
    "RewardName",
    "SessionEnv",
    "SessionsDataModule",
    "SyntheticImpressions",
    "SyntheticInteractions",
    "Transition",
    "logged_transitions",
    "reward_function",
]
