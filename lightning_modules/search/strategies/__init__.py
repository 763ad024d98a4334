"""Search strategies: they propose formulas and learn from their rewards."""

from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.evolution import RegularizedEvolution
from lightning_modules.search.strategies.exhaustive import ExhaustiveSearch
from lightning_modules.search.strategies.ppo import PPO
from lightning_modules.search.strategies.random_search import RandomSearch
from lightning_modules.search.strategies.reinforce import REINFORCE

__all__ = ["PPO", "REINFORCE", "ExhaustiveSearch", "Outcome", "RandomSearch", "RegularizedEvolution", "Strategy"]
