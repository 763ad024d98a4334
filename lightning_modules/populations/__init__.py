"""Populations: copies of one recommender, each with its own loss, trained together as slices of stacked tensors."""

from lightning_modules.populations.biased_mf import StackedBiasedMF
from lightning_modules.populations.deep_mf import StackedDeepMF
from lightning_modules.populations.measured_population import MeasuredPopulation
from lightning_modules.populations.population import Population
from lightning_modules.populations.stacked_model import StackedModel, UnmatchedError, stack, stacked

__all__ = [
    "MeasuredPopulation",
    "Population",
    "StackedBiasedMF",
    "StackedDeepMF",
    "StackedModel",
    "UnmatchedError",
    "stack",
    "stacked",
]
