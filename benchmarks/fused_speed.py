"""Compiled training of candidates: ``python -m benchmarks.fused_speed --data.root data/ml100k01-1-5``.

``--model deep_mf`` trains deep matrix factorisation instead of biased.

The same random formulas are trained by every way there is, in turn, each for one epoch and a validation AUC, and the
rewards compared. Times are those of the processor, so that they hold on a machine that does other things as well.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.child_overhead import LightningsSteps, plain_loop
from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from benchmarks.population_speed import RECIPE, formulas
from datamodules import InteractionsDataModule, SyntheticInteractions
from datamodules.batches import Batch
from lightning_modules.losses import Loss
from lightning_modules.recommenders import BiasedMF, DeepMF
from lightning_modules.search.evaluation import Evaluator, TrialEvaluator
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.training.trainers import TrainerFactory

CPU = {**RECIPE, "accelerator": "cpu"}
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": ADAM,
    "AdamW, weight decay 0.01": partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01),
    "Adam, weight decay 1e-4": partial(torch.optim.Adam, lr=1e-3, weight_decay=1e-4, fused=True),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.05),
    "SGD": partial(torch.optim.SGD, lr=0.05),
}
LIGHTNING, TRAINER, LOOP = "Trainer each, Lightning's steps", "Trainer each", "plain PyTorch loop"
POPULATION, FUSED, FUSED_20 = "population of 20", "kernels, Trainer each", "kernels, population of 20"
#: Which way is to be how many times as fast as which other, by batch size.
Required = Mapping[int, Sequence[tuple[str, str, float]]]


class Model(NamedTuple):
    """A recommender that is measured.

    Attributes:
        kind: Its class.
        ways: The ways to train it that are compared.
        optimizers: Those whose rewards are compared.
        required: How fast it is to be.
    """

    kind: type[BiasedMF | DeepMF]
    ways: Sequence[str]
    optimizers: Sequence[str]
    required: Required


MODELS: Mapping[str, Model] = {
    "biased_mf": Model(
        BiasedMF,
        (LIGHTNING, TRAINER, POPULATION, FUSED, FUSED_20, LOOP),
        tuple(OPTIMIZERS),
        {
            128: ((FUSED_20, LIGHTNING, 30.0), (FUSED, LIGHTNING, 10.0), (FUSED_20, LOOP, 15.0)),
            1024: ((FUSED_20, POPULATION, 4.0),),
        },
    ),
    "deep_mf": Model(
        DeepMF,
        (TRAINER, POPULATION, FUSED, FUSED_20),
        ("Adam", "AdamW, weight decay 0.01"),
        {128: ((FUSED_20, POPULATION, 2.0),), 1024: ()},
    ),
}
SIZES = (100_000, 1_000_000, 10_000_000)
LARGEST_GROWTH = 1.5
# As many users and items for every size, so that the tables are as large.
USERS, ITEMS = 20_000, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data.root", dest="root", type=Path, required=True, help="folder in the published layout")
    parser.add_argument("--model", choices=tuple(MODELS), default="biased_mf")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--formulas", type=int, default=40, help="formulas to compare the rewards of")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settle()
    warnings.simplefilter("ignore")
    losses = formulas(max(20, options.formulas), options.seed)
    model = MODELS[options.model]
    data = {size: InteractionsDataModule(str(options.root), batch_size=size) for size in model.required}
    parts = [speed(model, data[size], losses[:20], options) for size in model.required]
    parts.append(rewards(model, data[128], losses[: options.formulas], options))
    if model.kind is BiasedMF:
        parts.append(growth(losses[0], options))
    name = "fused_speed" if model.kind is BiasedMF else f"fused_speed_{options.model}"
    write_report(name, title="Compiled training of candidates", parts=parts)


def recommender_of(
    model: Model, data: InteractionsDataModule, optimizer: Callable[..., torch.optim.Optimizer], seed: int
) -> BiasedMF | DeepMF:
    torch.manual_seed(seed)
    return model.kind(data.num_users, data.num_items, optimizer=optimizer)


def fused(data: InteractionsDataModule, size: int) -> FusedEvaluator:
    trainers = TrainerFactory(CPU)
    return FusedEvaluator(trainers, data, size=size, otherwise=TrialEvaluator(trainers, data))


def evaluated(
    evaluator: Evaluator, recommender: BiasedMF | DeepMF, losses: Sequence[Loss], seed: int
) -> list[Evaluation]:
    size = evaluator.group
    results: list[Evaluation] = []
    for first in range(0, len(losses), size):
        group = tuple(losses[first : first + size])
        results += evaluator.evaluate(recommender, Assignment(group, tuple(loss.title for loss in group), seed))
    return results


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turn(runs: Mapping[str, tuple[Callable[[], object], int]], repetitions: int) -> list[dict[str, float]]:
    """Return the seconds a candidate of all runs, one right after the other, after a run of each that is not timed.

    Args:
        runs: Runs, and how many candidates each trains, by name.
        repetitions: How often each is timed.
    """
    for run, _ in runs.values():
        run()
    return [{name: seconds(run) / count for name, (run, count) in runs.items()} for _ in range(repetitions)]


def speed(model: Model, data: InteractionsDataModule, losses: Sequence[Loss], options: argparse.Namespace) -> str:
    """Return the table of a batch size."""
    recommender = recommender_of(model, data, ADAM, options.seed)
    arms: dict[str, tuple[Evaluator, int]] = {
        LIGHTNING: (TrialEvaluator(LightningsSteps(CPU), data), 1),
        TRAINER: (TrialEvaluator(TrainerFactory(CPU), data), 1),
        POPULATION: (PopulationEvaluator(TrainerFactory(CPU), data, size=20), 20),
        FUSED: (fused(data, 1), 5),
        FUSED_20: (fused(data, 20), 20),
    }
    runs: dict[str, tuple[Callable[[], object], int]] = {
        name: (partial(evaluated, evaluator, recommender, losses[:count], options.seed), count)
        for name, (evaluator, count) in arms.items()
        if name in model.ways
    }
    if LOOP in model.ways:
        data.setup("fit")
        runs[LOOP] = partial(plain_loop, recommender, data, options.seed), 1
    times = in_turn(runs, options.repetitions)
    print({name: 1e3 * statistics.median(each[name] for each in times) for name in runs}, flush=True)
    return _speed_table(model, data.batch_size, times, list(runs))


def _speed_table(model: Model, batch_size: int, times: Sequence[Mapping[str, float]], names: Sequence[str]) -> str:
    def milliseconds(name: str) -> str:
        each = [1e3 * run[name] for run in times]
        return f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"

    def times_as_fast(name: str, other: str) -> float:
        return statistics.median(run[other] / run[name] for run in times)

    others = [name for name in (LIGHTNING, TRAINER, LOOP, POPULATION) if name in names]
    rows = [[name, milliseconds(name), *(f"{times_as_fast(name, other):.1f}" for other in others)] for name in names]
    verdicts = [
        f"{name} against {other.lower()}: **{(ratio := times_as_fast(name, other)):.1f}** times as fast, "
        f"{least:g} required: {'reached' if ratio >= least else 'missed'}."
        for name, other, least in model.required[batch_size]
    ]
    loop = " but in the plain loop" if LOOP in names else ""
    return (
        f"**Batch size {batch_size}.** {model.kind.__name__} on ML-100K, Adam, gradients clipped at 50{loop}, "
        "random formulas that pass screening; one epoch, validation AUC and all other metrics, copies and Trainers "
        f"included.{' The plain loop trains on BCE and measures AUC alone.' if loop else ''} Milliseconds of processor "
        f"time a candidate, median (lowest to highest) of {len(times)} repetitions in turn, and medians of the ratios."
        "\n\n"
        + table(["", "ms a candidate", *(f"times as fast as: {other}" for other in others)], rows)
        + "".join(["\n\n", *(f"- {verdict}\n" for verdict in verdicts)]).rstrip()
    )


def rewards(model: Model, data: InteractionsDataModule, losses: Sequence[Loss], options: argparse.Namespace) -> str:
    """Return the table of optimizers: time, and the difference to the rewards of a Trainer for each candidate."""
    kernels, stacked = fused(data, 20), PopulationEvaluator(TrainerFactory(CPU), data, size=20)
    ways: list[tuple[str, str, Evaluator]] = [(name, name, kernels) for name in model.optimizers]
    ways.append((f"{ways[0][0]}, stacked tensors without kernels", ways[0][0], stacked))
    rows = []
    for title, name, evaluator in ways:
        recommender = recommender_of(model, data, OPTIMIZERS[name], options.seed)
        few = losses[:20]
        run = partial(evaluated, evaluator, recommender, few, options.seed)
        times = sorted(1e3 * seconds(run) / len(few) for _ in range(options.repetitions))
        both = evaluator, TrialEvaluator(TrainerFactory(CPU), data)
        pairs = zip(*(evaluated(way, recommender, losses, options.seed) for way in both), strict=True)
        rows.append([title, f"{statistics.median(times):.1f}", *_differences(list(pairs))])
        print(rows[-1], flush=True)
    header = ["optimizer", "ms a candidate", "reward difference: median", "90 %", "largest", "other status"]
    return (
        f"Populations of {min(20, len(losses))} at batch size 128, and the rewards of {len(losses)} random formulas "
        "against those of a Trainer for each.\n\n" + table(header, rows)
    )


def _differences(pairs: Sequence[tuple[Evaluation, Evaluation]]) -> list[str]:
    both = [(one.score, other.score) for one, other in pairs]
    ordered = sorted(abs(one - other) for one, other in both if one is not None and other is not None) or [0.0]
    figures = (statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))], ordered[-1])
    return [*(f"{figure:.1e}" for figure in figures), str(sum((one is None) != (other is None) for one, other in both))]


def interactions(count: int, seed: int) -> SyntheticInteractions:
    """Return rows of uniform users and items with random labels: what they say does not matter for the time."""
    draws = torch.Generator().manual_seed(seed)
    data = SyntheticInteractions(num_users=USERS, num_items=ITEMS, batch_size=1024, seed=seed)
    rows = Batch(
        torch.randint(1, USERS + 1, (count,), generator=draws),
        torch.randint(1, ITEMS + 1, (count,), generator=draws),
        torch.randint(0, 2, (count,), generator=draws).float(),
    )
    few = Batch(*(column[:1000] for column in rows))
    data.rows = {"train": rows, "validation": few, "test": few}
    return data


def growth(loss: Loss, options: argparse.Namespace) -> str:
    """Return the table of numbers of interactions."""
    each: dict[int, Any] = {}
    for size in SIZES:
        data = interactions(size, options.seed)
        torch.manual_seed(options.seed)
        recommender = BiasedMF(USERS + 1, ITEMS + 1, optimizer=ADAM)
        run = partial(evaluated, fused(data, 1), recommender, [loss], options.seed)
        run()
        each[size] = statistics.median(1e6 * seconds(run) / size for _ in range(3))
        print(size, each[size], flush=True)
    ratio = each[SIZES[-1]] / each[SIZES[0]]
    verdict = "reached" if ratio <= LARGEST_GROWTH else "missed"
    rows = [[f"{size:,}", f"{micro:.3f}"] for size, micro in each.items()]
    return (
        f"One candidate on {USERS:,} users and {ITEMS:,} items drawn uniformly, batch size 1,024, Adam, Trainer and "
        "planning included.\n\n"
        + table(["interactions", "microseconds an interaction"], rows)
        + f"\n\n{SIZES[-1]:,} against {SIZES[0]:,}: **{ratio:.2f}**, at most {LARGEST_GROWTH} required: {verdict}. "
        "Weights and both moments take 23 MB here, beyond a core's own cache, so that reading rows from the shared "
        "cache or from memory bounds the time."
    )


if __name__ == "__main__":
    main()
