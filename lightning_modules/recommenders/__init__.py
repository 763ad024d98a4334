"""Scorers of user-item pairs."""

from lightning_modules.recommenders.base import Recommender
from lightning_modules.recommenders.biased_mf import BiasedMF
from lightning_modules.recommenders.deep_mf import DeepMF
from lightning_modules.recommenders.metrics import RecommenderMetrics
from lightning_modules.recommenders.ranknet import RankNet

__all__ = ["BiasedMF", "DeepMF", "RankNet", "Recommender", "RecommenderMetrics"]
