"""What a child costs beyond its arithmetic: ``python -m benchmarks.child_overhead --data.root data/ml100k01-1-5``.

One child of a search (biased matrix factorisation, one epoch, AUC) under a Trainer of its own, against a plain PyTorch
loop that takes the same steps on the same batches, in turn.
"""

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler, SimpleProfiler

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

LARGEST_RATIO = 2.0
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
    times = measure(recommender, data, options.seed, options.repetitions)
    steps = len(BatchLoader(data.rows["train"], data.batch_size))
    parts = [*report(times, steps), profile(recommender, data, options.seed, steps)]
    write_report("child_overhead", title="A child against a plain PyTorch loop", parts=parts)


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


def child(recommender: BiasedMF, data: InteractionsDataModule, seed: int, trainers: TrainerFactory) -> float:
    """Evaluate the same loss as a search does."""
    (evaluation,) = TrialEvaluator(trainers, data).evaluate(recommender, Assignment((BCE(),), ("BCE",), seed))
    if evaluation.score is None:
        raise RuntimeError(f"the child could not be trained: {evaluation.status} {evaluation.error}")
    return evaluation.score


def measure(
    recommender: BiasedMF, data: InteractionsDataModule, seed: int, repetitions: int
) -> list[tuple[float, float]]:
    """Return the seconds of the plain loop and of the child, in pairs that ran one right after the other."""
    plain = partial(plain_loop, recommender, data, seed)
    trained = partial(child, recommender, data, seed, TrainerFactory(RECIPE))
    if plain() != trained():
        raise RuntimeError("the loop and the child end with different AUCs, so they are not the same work")
    times = []
    for repetition in range(repetitions):
        first, second = (plain, trained) if repetition % 2 else (trained, plain)
        pair = {first: _seconds(first), second: _seconds(second)}
        times.append((pair[plain], pair[trained]))
    return times


def _seconds(run: Callable[[], float]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def report(times: list[tuple[float, float]], steps: int) -> list[str]:
    """Return the table of seconds and the ratio."""
    plain, trained = zip(*times, strict=True)
    ratios = [mine / reference for reference, mine in times]
    ratio = statistics.median(ratios)
    rows = [
        [name, f"{statistics.median(each):.3f}", f"{min(each):.3f} to {max(each):.3f}", f"{_per_step(each, steps):.0f}"]
        for name, each in (("plain PyTorch loop", plain), ("child under its own Trainer", trained))
    ]
    return [
        f"BiasedMF (64), batch 128, one epoch of {steps} steps and validation AUC, fused Adam 1e-3; {len(times)} "
        "pairs in turn. Both end with the same AUC to the last bit. The child's time holds the copy of the "
        "recommender, its Trainer and all eight metrics, the loop's the copy and the AUC.",
        table(["", "seconds, median", "fastest to slowest", "microseconds a step"], rows),
        f"Ratio, median of the pairs: **{ratio:.2f}** ({min(ratios):.2f} to {max(ratios):.2f}); "
        f"required at most {LARGEST_RATIO}: {'reached' if ratio <= LARGEST_RATIO else 'missed'}.",
    ]


def _per_step(seconds: tuple[float, ...], steps: int) -> float:
    return 1e6 * statistics.median(seconds) / steps


class _ProfiledTrainers(TrainerFactory):
    """Gives every Trainer one and the same profiler, where a recipe's would be copied."""

    def __init__(self, profiler: Profiler) -> None:
        super().__init__(RECIPE)
        self.profiler = profiler

    def build(self, *arguments: Any, **options: Any) -> pl.Trainer:
        trainer = super().build(*arguments, **options)
        trainer.profiler = self.profiler  # type: ignore[attr-defined]  # set outside the Trainer's class
        return trainer


def profile(recommender: BiasedMF, data: InteractionsDataModule, seed: int, steps: int) -> str:
    """Return a table of the Trainer's calls that happen in every step, the costly ones first."""
    profiler = SimpleProfiler()
    child(recommender, data, seed, _ProfiledTrainers(profiler))
    durations = {name: each for name, each in profiler.recorded_durations.items() if len(each) >= steps}
    ordered = sorted(durations.items(), key=lambda item: -sum(item[1]))
    rows = [[f"`{_short(name)}`", f"{1e6 * sum(each) / steps:.0f}"] for name, each in ordered[:14]]
    return (
        "Where a step of the child goes, by Lightning's SimpleProfiler, whose own cost is included. "
        "`run_training_batch` holds `optimizer_step`, which holds `training_step`, `backward` and `zero_grad`.\n\n"
        + table(["call", "microseconds a step"], rows)
    )


def _short(action: str) -> str:
    """Return an action's name without the arguments that Lightning writes into it."""
    return action.split("{")[0]


if __name__ == "__main__":
    main()
