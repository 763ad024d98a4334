"""Scorers of user-item pairs, and of the whole catalogue for a user."""

from lightning_modules.core.inference import InferenceGraph
from lightning_modules.recommenders.base import Recommender
from lightning_modules.recommenders.biased_mf import BiasedMF
from lightning_modules.recommenders.catalogue import CatalogueRecommender
from lightning_modules.recommenders.closed_form import ClosedFormRecommender
from lightning_modules.recommenders.deep_mf import DeepMF
from lightning_modules.recommenders.ease import EASE
from lightning_modules.recommenders.ials import IALS
from lightning_modules.recommenders.lightgcn import LightGCN
from lightning_modules.recommenders.metrics import RecommenderMetrics
from lightning_modules.recommenders.mf import MF
from lightning_modules.recommenders.most_popular import MostPopular
from lightning_modules.recommenders.ranknet import RankNet
from lightning_modules.recommenders.top_n import TopNRecommender
from lightning_modules.recommenders.top_n_metrics import TopNMetrics

__all__ = [
    "EASE",
    "IALS",
    "MF",
    "BiasedMF",
    "CatalogueRecommender",
    "ClosedFormRecommender",
    "DeepMF",
    "InferenceGraph",
    "LightGCN",
    "MostPopular",
    "RankNet",
    "Recommender",
    "RecommenderMetrics",
    "TopNMetrics",
    "TopNRecommender",
]
