"""Populations against one Trainer a candidate: ``python -m benchmarks.population_speed --data.root data/ml100k01-1-5``.

The formulas are random ones that screening lets pass, as a search meets them first. Groups of trials and a population
of the same formulas are trained in turn, each for one epoch and a validation AUC, and their rewards compared.
"""

import argparse
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from datamodules import InteractionsDataModule
from lightning_modules.losses import FormulaLoss, Loss, Numerics
from lightning_modules.populations import Population, StackedBiasedMF, population
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.populations.lazy_optimizers import RowAdagrad, RowAdam, RowOptimizer, RowSGD
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.evaluation import Evaluator, TrialEvaluator
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.sampling import Sampler
from lightning_modules.search.screening import Screening
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies import RandomSearch
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.training.trainers import TrainerFactory

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": partial(torch.optim.Adam, lr=5e-3, fused=True),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.05),
    "SGD": partial(torch.optim.SGD, lr=0.05),
}
SIZES = {"cpu": (1, 20, 64), "gpu": (1, 16, 64, 256, 1024)}
REQUIRED = {20: 6.0, 64: 10.0}
# Random formulas that differ are slow to find; larger populations hold some of them several times.
DISTINCT = 64
RECIPE = {"max_epochs": 1, "devices": 1, "gradient_clip_val": 50.0, "gradient_clip_algorithm": "value"}


class Row(NamedTuple):
    """A population of one size under one optimizer."""

    optimizer: str
    size: int
    trial: float
    candidate: float
    ratios: list[float]
    differences: list[float]
    disagreements: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data.root", dest="root", type=Path, required=True, help="folder in the published layout")
    parser.add_argument("--accelerator", choices=tuple(SIZES), default="cpu")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--children", type=int, default=64, help="formulas of a population to compare rewards of")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settle()
    warnings.simplefilter("ignore")
    data = InteractionsDataModule(str(options.root), batch_size=128)
    missing = options.accelerator == "gpu" and not torch.cuda.is_available()
    parts = [not_run()] if missing else measured(data, options)
    name = "population_speed" if options.accelerator == "cpu" else "population_speed_gpu"
    write_report(name, title="A population against one Trainer a candidate", parts=parts)


def measured(data: InteractionsDataModule, options: argparse.Namespace) -> list[str]:
    """Return the tables."""
    few = formulas(DISTINCT, options.seed)
    losses = few * -(-max(SIZES[options.accelerator]) // len(few))
    rows, profiles = [], []
    for name in OPTIMIZERS:
        for size in SIZES[options.accelerator]:
            rows.append(compared(name, size, data, losses, options))
            print(rows[-1][:4], flush=True)
        profiles.append(profiled(name, SIZES[options.accelerator][1], data, losses, options))
    return [report(rows), report_profiles(profiles, SIZES[options.accelerator][1])]


def not_run() -> str:
    """Say that there is no accelerator."""
    return "Not run: this machine has no CUDA device. The command above measures K = 1, 16, 64, 256 and 1024 on one."


def formulas(count: int, seed: int) -> list[Loss]:
    """Return random formulas that screening lets pass."""
    space, numerics = SearchSpace(), Numerics.named("protected")
    first, second = (torch.Generator().manual_seed(seed + offset) for offset in range(2))
    screening = Screening(space, numerics, first)
    sampler = Sampler(RandomSearch(space, second), screening, candidates=count, batch_size=1024, limit=1_000_000)
    samples = sampler.sample()
    return [FormulaLoss(formula, numerics) for formula in space.decode(samples.programs[samples.chosen])]


def evaluators(
    name: str, size: int, data: InteractionsDataModule, options: argparse.Namespace
) -> tuple[BiasedMF, TrialEvaluator, PopulationEvaluator]:
    """Return a recommender, what trains one trial at a time and what trains a population."""
    torch.manual_seed(options.seed)
    recommender = BiasedMF(data.num_users, data.num_items, optimizer=OPTIMIZERS[name])
    trainers = TrainerFactory({**RECIPE, "accelerator": options.accelerator})
    return recommender, TrialEvaluator(trainers, data), PopulationEvaluator(trainers, data, size=size)


def compared(
    name: str, size: int, data: InteractionsDataModule, losses: Sequence[Loss], options: argparse.Namespace
) -> Row:
    """Train the same formulas both ways, in turn."""
    recommender, trial, population = evaluators(name, size, data, options)
    run = partial(timed, recommender=recommender, seed=options.seed)
    copies, _ = run(population, losses[:size])
    # The rewards of many formulas are compared once; for the speed the trials of a few are enough.
    trials, _ = run(trial, losses[: min(size, options.children)])
    few = losses[: min(size, 5)]
    pairs = []
    for _ in range(options.repetitions):
        seconds = run(trial, few)[1] / len(few)
        pairs.append((seconds, run(population, losses[:size])[1] / size))
    return _row(name, size, pairs, trials, copies[: len(trials)])


def timed(
    evaluator: Evaluator, losses: Sequence[Loss], *, recommender: BiasedMF, seed: int
) -> tuple[list[Evaluation], float]:
    """Return what became of the losses, and after how many seconds."""
    start = time.perf_counter()
    evaluations = evaluator.evaluate(recommender, Assignment(tuple(losses), tuple(loss.title for loss in losses), seed))
    return evaluations, time.perf_counter() - start


def _row(
    name: str, size: int, pairs: Sequence[tuple[float, float]], trials: list[Evaluation], copies: list[Evaluation]
) -> Row:
    both = [(trial.score, copy.score) for trial, copy in zip(trials, copies, strict=True)]
    return Row(
        optimizer=name,
        size=size,
        trial=statistics.median(trial for trial, _ in pairs),
        candidate=statistics.median(candidate for _, candidate in pairs),
        ratios=[trial / candidate for trial, candidate in pairs],
        differences=[abs(trial - copy) for trial, copy in both if trial is not None and copy is not None],
        disagreements=sum((trial is None) != (copy is None) for trial, copy in both),
    )


def report(rows: Sequence[Row]) -> str:
    """Return the table of speed and of rewards."""
    header = ["optimizer", "K", "trial, s", "candidate, s", "ratio (range)", "required", "reward difference: median"]
    header += ["90 %", "largest", "other status"]
    lines = [[row.optimizer, str(row.size), *_speed(row), *_differences(row)] for row in rows]
    return (
        "BiasedMF (64) on ML-100K, batch 128, one epoch and validation AUC, gradients clipped at 50; random formulas "
        "that pass screening. A trial has a Trainer of its own. Times are medians over repetitions in turn, the ratio "
        "is the median of the pairs. Rewards are those of the same formulas both ways.\n\n" + table(header, lines)
    )


def _speed(row: Row) -> list[str]:
    ratio = statistics.median(row.ratios)
    required = REQUIRED.get(row.size)
    verdict = "" if required is None else f"{required:g}: {'reached' if ratio >= required else 'missed'}"
    spread = f"{min(row.ratios):.1f} to {max(row.ratios):.1f}"
    return [f"{row.trial:.3f}", f"{row.candidate:.4f}", f"**{ratio:.1f}** ({spread})", verdict]


def _differences(row: Row) -> list[str]:
    ordered = sorted(row.differences) or [0.0]
    figures = (statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))], ordered[-1])
    return [*(f"{figure:.1e}" for figure in figures), str(row.disagreements)]


def profiled(
    name: str, size: int, data: InteractionsDataModule, losses: Sequence[Loss], options: argparse.Namespace
) -> dict[str, float]:
    """Return microseconds a step by part of a population."""
    recommender, _, evaluator = evaluators(name, size, data, options)
    steps = len(data.train_dataloader())
    seconds: dict[str, float] = defaultdict(float)
    with _clocks(seconds):
        _, whole = timed(evaluator, losses[:size], recommender=recommender, seed=options.seed)
    seconds["everything, the Trainer included"] = whole
    return {part: 1e6 * each / steps for part, each in seconds.items()}


@contextmanager
def _clocks(seconds: dict[str, float]) -> Iterator[None]:
    """Add up the seconds that the parts of a population take."""
    parts: list[tuple[Any, str, str]] = [
        (SlopeTable, "__init__", "slopes: tabulated, once"),
        (SlopeTable, "slopes", "slopes: looked up"),
        (population, "distinct_rows", "distinct rows"),
        (StackedBiasedMF, "gradients", "logits, slopes and gradients"),
        (Population, "validation_step", "validation: logits, once"),
        (Population, "on_validation_epoch_end", "validation: metrics, once"),
        (Population, "training_step", "training step"),
        *((kind, "step", "rows: updated") for kind in (RowSGD, RowAdagrad, RowAdam)),
        *((kind, "fetch", "rows: fetched") for kind in (RowOptimizer, RowAdam)),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in parts]
    try:
        for owner, name, part in parts:
            setattr(owner, name, _clocked(getattr(owner, name), part, seconds))
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _clocked(function: Callable[..., Any], part: str, seconds: dict[str, float]) -> Callable[..., Any]:
    @wraps(function)
    def clocked(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds[part] += time.perf_counter() - start

    return clocked


def report_profiles(profiles: Sequence[dict[str, float]], size: int) -> str:
    """Return the table of the parts of a step."""
    names = sorted(profiles[0], key=lambda part: -profiles[0][part])
    lines = [[part, *(f"{profile[part]:.0f}" for profile in profiles)] for part in names]
    return (
        f"Where a step of a population of {size} goes, in microseconds; what happens once is shared by all steps. A "
        "step holds the rows fetched and updated, the distinct rows, and the gradients, which hold the look-up.\n\n"
        + table(["part", *OPTIMIZERS], lines)
    )


if __name__ == "__main__":
    main()
