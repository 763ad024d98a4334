"""Data modules: what the models learn from."""

from datamodules.batches import (
    Batch,
    CatalogueBatch,
    FeedbackRows,
    ImpressionBatch,
    PairBatch,
    PredictionBatch,
    RecommendationBatch,
    TopNBatch,
)
from datamodules.implicit.datamodule import ImplicitFeedback
from datamodules.implicit.loaders import CatalogueLoader, PositiveBatch, PositiveLoader
from datamodules.implicit.negatives import InBatchNegatives, Negatives, PopularityNegatives, UniformNegatives
from datamodules.implicit.synthetic import SyntheticFeedback
from datamodules.implicit.user_items import UserItems
from datamodules.impressions.aliexpress import AliExpress
from datamodules.impressions.category_mapper import CategoryMapper
from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.impressions.kuairand import KuaiRand
from datamodules.impressions.retailrocket import RetailRocket
from datamodules.impressions.synthetic import SyntheticImpressions
from datamodules.impressions.synthetic_sessions import SyntheticSessions
from datamodules.interactions.datamodule import InteractionsDataModule
from datamodules.interactions.movielens import MovieLens
from datamodules.interactions.pairs import PairLoader
from datamodules.interactions.synthetic import SyntheticInteractions
from datamodules.loader import BatchLoader
from datamodules.sessions.datamodule import SessionsDataModule
from datamodules.sessions.environment import SessionEnv
from datamodules.sessions.rewards import AbsoluteErrorReward, LogLossReward, Reward, RewardName, reward_function
from datamodules.sessions.transitions import LoggedTransition, Transition, logged_transitions

__all__ = [
    "AbsoluteErrorReward",
    "AliExpress",
    "Batch",
    "BatchLoader",
    "CatalogueBatch",
    "CatalogueLoader",
    "CategoryMapper",
    "FeedbackRows",
    "ImplicitFeedback",
    "ImpressionBatch",
    "ImpressionsDataModule",
    "InBatchNegatives",
    "InteractionsDataModule",
    "KuaiRand",
    "LogLossReward",
    "LoggedTransition",
    "MovieLens",
    "Negatives",
    "PairBatch",
    "PairLoader",
    "PopularityNegatives",
    "PositiveBatch",
    "PositiveLoader",
    "PredictionBatch",
    "RecommendationBatch",
    "RetailRocket",
    "Reward",
    "RewardName",
    "SessionEnv",
    "SessionsDataModule",
    "SyntheticFeedback",
    "SyntheticImpressions",
    "SyntheticInteractions",
    "SyntheticSessions",
    "TopNBatch",
    "Transition",
    "UniformNegatives",
    "UserItems",
    "logged_transitions",
    "reward_function",
]
