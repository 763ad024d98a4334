"""Small data, recommenders and losses that children and populations are compared on."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from datamodules import SyntheticInteractions
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss, Hinge, Loss
from lightning_modules.recommenders import BiasedMF, DeepMF, Recommender
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.training.trainers import TrainerFactory

RECIPE = {"max_epochs": 2, "accelerator": "cpu", "devices": 1}
SGD = partial(torch.optim.SGD, lr=0.3)
ADAGRAD = partial(torch.optim.Adagrad, lr=0.05, lr_decay=0.01, initial_accumulator_value=0.001)
ADAM = partial(torch.optim.Adam, lr=5e-3)


def losses() -> tuple[Loss, ...]:
    """Smooth ones, and formulas with kinks."""
    formulas = ("max(label - pred, pred)", "-label * log(pred) - (1 - label) * log(1 - pred)", "1 / (pred + label)")
    return (BCE(), MSE(), Focal(), Hinge(), *map(FormulaLoss, formulas))


def planted_data(**options: Any) -> SyntheticInteractions:
    defaults = {"num_users": 60, "num_items": 50, "num_interactions": 1500, "rank": 2, "scale": 3.0, "batch_size": 32}
    return SyntheticInteractions(**{**defaults, **options})


def biased_mf(optimizer: Any = ADAM, **options: Any) -> BiasedMF:
    data = planted_data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BiasedMF(
            data.num_users, data.num_items, optimizer=optimizer, **{"embedding_dim": 8, "init_std": 0.1, **options}
        )


def deep_mf(optimizer: Any = SGD, **options: Any) -> DeepMF:
    data = planted_data()
    defaults = {"embedding_dim": 8, "hidden_features": (16, 8), "init_std": 0.1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DeepMF(data.num_users, data.num_items, optimizer=optimizer, **{**defaults, **options})


def assignment(of: Sequence[Loss], **options: Any) -> Assignment:
    return Assignment(tuple(of), tuple(loss.title for loss in of), seed=3, **options)


def both(
    recommender: Recommender, task: Assignment, recipe: dict[str, Any] | None = None, **options: Any
) -> tuple[list[Evaluation], list[Evaluation]]:
    """Train the losses separately, and all as a population."""
    trainers, data = TrainerFactory({**RECIPE, **(recipe or {})}), planted_data()
    population = PopulationEvaluator(trainers, data, size=len(task.losses), **options)
    separate = TrialEvaluator(trainers, data, **options).evaluate(recommender, task)
    return separate, population.evaluate(recommender, task)


def largest_difference(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


class InfiniteFarAway(Loss):
    """Is finite only where training goes."""

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return torch.where((prediction - 0.5).abs() < 0.4999, (prediction - label) ** 2, torch.inf)
