"""How far do mathematically equal trainings end apart? ``python -m benchmarks.equal_trainings data/ml100k01-1-5``.

Trains the same losses as trials, as a population, and both again from a start that differs by rounding, under the
budget that searches ship with, and compares their rewards.
"""

import statistics
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import torch
from jsonargparse import auto_cli
from torch import nn

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from benchmarks.common.training import MODELS, TrialBudget
from benchmarks.population_speed import formulas
from datamodules import InteractionsDataModule
from lightning_modules.layers.mlp import BatchNorm
from lightning_modules.losses import BCE, MSE, Focal, Loss
from lightning_modules.recommenders import Recommender
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.trial import Assignment
from lightning_modules.training.trainers import TrainerFactory

EPOCHS = {"BiasedMF": 2, "DeepMF": 1}
NOISE = 1e-7
HAND_MADE = "BCE, MSE, Focal"


def sgd(recommender: Recommender) -> None:
    """Train with stochastic gradient descent."""
    recommender.optimizer = partial(torch.optim.SGD, lr=0.5)


def smooth(recommender: Recommender) -> None:
    """Take softplus for ReLU."""
    layers = recommender.get_submodule("mlp")
    for name, layer in layers.named_children():
        if isinstance(layer, nn.ReLU):
            setattr(layers, name, nn.Softplus())


def plain(recommender: Recommender) -> None:
    """Leave batch normalisation out."""
    layers = recommender.get_submodule("mlp")
    for name, layer in layers.named_children():
        if isinstance(layer, BatchNorm):
            setattr(layers, name, nn.Identity())


#: What is changed of the deep scorer to see where differences come from.
CHANGES: dict[str, Callable[[Recommender], None]] = {
    "SGD": sgd,
    "no BatchNorm": plain,
    "softplus for ReLU": smooth,
}


class Differences(NamedTuple):
    """How far rewards lie from those of trials of the same start."""

    model: str
    what: str
    differences: list[float]


def main(data_root: str, count: int = 20, seed: int = 0) -> None:
    """Measure and write the table.

    Args:
        data_root: Folder in the published layout.
        count: Number of formulas beside the hand-made losses.
        seed: Seed of the formulas, the initial weights and the order of the rows.
    """
    settle()
    warnings.simplefilter("ignore")
    losses: dict[str, list[Loss]] = {HAND_MADE: [BCE(), MSE(), Focal()], "formulas": formulas(count, seed)}
    found = [
        each for model in MODELS for name, of in losses.items() for each in both_ways(data_root, model, name, of, seed)
    ]
    found += [reason(data_root, name, losses[HAND_MADE], seed) for name in CHANGES]
    lines = [[each.model, each.what, *_figures(each.differences)] for each in found]
    write_report(
        "equal_trainings",
        title="How far do equal trainings end apart?",
        parts=[
            "Rewards (AUC on 10 % of the training rows, Adam 5e-3, batch 1024, two epochs of biased MF and one of the "
            "deep scorer) less those of a trial each. A near start has normal noise of 1e-7 on every weight. Formulas "
            "are random ones that pass screening; those with kinks may fall to either side of one.",
            "A unit of the deep scorer whose input comes to lie on the other side of 0 has another gradient, so that "
            "with ReLU the last bits of the weights decide on digits of the reward, under any optimizer and in "
            "double precision too. Differences of that size between rewards of the deep scorer mean nothing.",
            table(["model", "losses, trained how", "median", "90 %", "largest"], lines),
        ],
    )


def prepared(root: str, model: str, seed: int) -> tuple[InteractionsDataModule, Recommender, TrainerFactory]:
    """Return the rows, the start and what trains."""
    data = InteractionsDataModule(root).hold_out(0.1, seed)
    data.batch_size = 1024
    budget = TrialBudget("Adam", 5e-3, EPOCHS[model])
    return data, budget.model(data, seed, model), TrainerFactory(budget.recipe)


def reason(root: str, change: str, losses: list[Loss], seed: int) -> Differences:
    """Train a changed deep scorer from a start and from a near one."""
    data, start, trainers = prepared(root, "DeepMF", seed)
    CHANGES[change](start)
    task = Assignment(tuple(losses), tuple(loss.title for loss in losses), seed)
    evaluator = TrialEvaluator(trainers, data)
    scores = [
        [each.score for each in evaluator.evaluate(recommender, task)] for recommender in (start, near(start, seed))
    ]
    return Differences(f"DeepMF, {change}", f"{HAND_MADE}, trial, near start", _distances(*scores))


def both_ways(root: str, model: str, name: str, losses: list[Loss], seed: int) -> list[Differences]:
    """Train the losses as trials and as a population, from a start and from a near one."""
    data, start, trainers = prepared(root, model, seed)
    ways = {
        "trial": TrialEvaluator(trainers, data),
        "population": PopulationEvaluator(trainers, data, size=len(losses)),
    }
    task = Assignment(tuple(losses), tuple(loss.title for loss in losses), seed)
    starts = {"": start, ", near start": near(start, seed)}
    scores = {
        way + which: [each.score for each in evaluator.evaluate(recommender, task)]
        for way, evaluator in ways.items()
        for which, recommender in starts.items()
    }
    alone = scores.pop("trial")
    return [Differences(model, f"{name}, {way}", _distances(alone, others)) for way, others in scores.items()]


def near(recommender: Recommender, seed: int) -> Recommender:
    """Return a copy with noise on its weights."""
    copied, generator = deepcopy(recommender), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=generator))
    return copied


def _distances(left: list[float | None], right: list[float | None]) -> list[float]:
    pairs = zip(left, right, strict=True)
    return [abs(one - other) for one, other in pairs if one is not None and other is not None]


def _figures(differences: list[float]) -> list[str]:
    ordered = sorted(differences)
    figures = (statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))], ordered[-1])
    return [f"{figure:.1e}" for figure in figures]


if __name__ == "__main__":
    auto_cli(main)
