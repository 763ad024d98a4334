"""What a trial costs beyond its arithmetic: ``python -m benchmarks.child_overhead --data.root data/ml100k01-1-5``.

One trial of a search (biased matrix factorisation, one epoch, AUC) under a Trainer of its own, against a plain PyTorch
loop that takes the same steps on the same batches, in turn.
"""

import argparse
import copy
import cProfile
import pstats
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from datamodules import InteractionsDataModule
from datamodules.loader import BatchLoader
from lightning_modules.losses import BCE
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.trial import Assignment
from lightning_modules.statistics.ranking import auc, dense_ranks
from lightning_modules.training.trainers import TrainerFactory

LARGEST_RATIO = 1.3
PLAIN, TRIAL, LIGHTNINGS = "plain PyTorch loop", "trial under its own Trainer", "the same with Lightning's steps"
PACKAGES = {
    "torch": ("torch",),
    "Lightning": ("pytorch_lightning", "lightning_fabric", "lightning_utilities"),
    "this project": ("lightning_modules", "datamodules", "callbacks", "benchmarks"),
}
RECIPE = {"max_epochs": 1, "accelerator": "cpu", "devices": 1}
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data.root", dest="root", type=Path, required=True, help="folder in the published layout")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settle()
    warnings.simplefilter("ignore")
    data = InteractionsDataModule(str(options.root), batch_size=128)
    torch.manual_seed(options.seed)
    recommender = BiasedMF(data.num_users, data.num_items, optimizer=ADAM)
    runs = {
        PLAIN: partial(plain_loop, recommender, data, options.seed),
        TRIAL: partial(trial, recommender, data, options.seed, TrainerFactory(RECIPE)),
        LIGHTNINGS: partial(trial, recommender, data, options.seed, LightningsSteps(RECIPE)),
    }
    steps = len(BatchLoader(data.rows["train"], data.batch_size))
    parts = [*report(measure(runs, options.repetitions), steps), profile(runs, steps)]
    write_report("child_overhead", title="A trial against a plain PyTorch loop", parts=parts)


def plain_loop(recommender: BiasedMF, data: InteractionsDataModule, seed: int) -> float:
    """Train a copy for one epoch and return its validation AUC."""
    model, loss = copy.deepcopy(recommender), BCE()
    optimizer = ADAM(model.parameters())
    for batch in BatchLoader(data.rows["train"], data.batch_size, shuffle=True, seed=seed):
        optimizer.zero_grad()
        loss.from_logit(model(batch.user, batch.item), batch.label).mean().backward()
        optimizer.step()
    rows = data.rows["validation"]
    with torch.no_grad():
        return float(auc(dense_ranks(model(rows.user, rows.item)), rows.label > 0))


def trial(recommender: BiasedMF, data: InteractionsDataModule, seed: int, trainers: TrainerFactory) -> float:
    """Evaluate the same loss as a search does."""
    (evaluation,) = TrialEvaluator(trainers, data).evaluate(recommender, Assignment((BCE(),), ("BCE",), seed))
    if evaluation.score is None:
        raise RuntimeError(f"the trial could not be trained: {evaluation.status} {evaluation.error}")
    return evaluation.score


class LightningsSteps(TrainerFactory):
    """Builds Trainers that take Lightning's own steps."""

    def build(self, *arguments: Any, **options: Any) -> pl.Trainer:
        """Return a new Trainer."""
        trainer = super().build(*arguments, **options)
        loop = trainer.fit_loop.epoch_loop
        trainer.fit_loop.epoch_loop = _TrainingEpochLoop(trainer, loop.min_steps, loop.max_steps)
        return trainer


def measure(runs: dict[str, Callable[[], float]], repetitions: int) -> list[dict[str, float]]:
    """Return the seconds of processor time of all runs, which ran one right after the other, in turn.

    Raises:
        RuntimeError: If they end with different AUCs.
    """
    if len({run() for run in runs.values()}) > 1:
        raise RuntimeError("the runs end with different AUCs, so they are not the same work")
    names = list(runs)
    return [
        {name: _seconds(runs[name]) for name in names[:: -1 if repetition % 2 else 1]}
        for repetition in range(repetitions)
    ]


def _seconds(run: Callable[[], float]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def report(times: list[dict[str, float]], steps: int) -> list[str]:
    """Return the table of seconds and ratios."""
    rows = []
    for name in (PLAIN, TRIAL, LIGHTNINGS):
        each = [run[name] for run in times]
        spread = f"{min(each):.3f} to {max(each):.3f}"
        micro = f"{1e6 * statistics.median(each) / steps:.0f}"
        rows.append([name, f"{statistics.median(each):.3f}", spread, micro, _ratios(times, name)])
    ratio = statistics.median(run[TRIAL] / run[PLAIN] for run in times)
    header = ["", "seconds, median", "lowest to highest", "microseconds a step", "times the loop"]
    return [
        f"BiasedMF (64), batch 128, one epoch of {steps} steps and validation AUC, fused Adam 1e-3; {len(times)} "
        "repetitions in turn, in seconds of processor time. All end with the same AUC to the last bit. A trial's time "
        "holds the copy of the recommender, its Trainer and all eight metrics, the loop's the copy and the AUC.",
        table(header, rows),
        f"The trial may take at most {LARGEST_RATIO} times the loop: "
        f"{'reached' if ratio <= LARGEST_RATIO else 'missed'}.",
    ]


def _ratios(times: list[dict[str, float]], name: str) -> str:
    ratios = [run[name] / run[PLAIN] for run in times]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def profile(runs: dict[str, Callable[[], float]], steps: int) -> str:
    """Return a table of the time that each package's own code takes in every run."""
    found = {name: _own_times(run) for name, run in runs.items()}
    packages = sorted({package for each in found.values() for package in each}, key=lambda each: -found[PLAIN][each])
    rows = [[each, *(f"{1e6 * found[name][each] / steps:.0f}" for name in runs)] for each in packages]
    return (
        "Microseconds a step in the own code of each package, by Python's profiler, whose own cost is included and "
        "weighs on Python's calls.\n\n" + table(["package", *runs], rows)
    )


def _own_times(run: Callable[[], float]) -> Counter[str]:
    profiler = cProfile.Profile()
    profiler.runcall(run)
    times: Counter[str] = Counter()
    for (path, _, function), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        times[_package(path, function)] += own
    return times


def _package(path: str, function: str) -> str:
    for name, packages in PACKAGES.items():
        if any(f"/{package}/" in path for package in packages):
            return name
    # Functions in C have no path.
    return "torch's operators" if path == "~" and "torch" in function else "Python and others"


if __name__ == "__main__":
    main()
