"""Trials a second in one worker and in two: ``python -m benchmarks.search_workers --data.root data/ml100k01-1-5``.

The same trials (biased matrix factorisation, batch 128, one epoch and validation AUC) on every executor, in turn.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from benchmarks.common.commands import settle
from benchmarks.common.interleaved_runs import Times, in_turn, median, verdict
from benchmarks.common.report import table, write_report
from benchmarks.reward_signal import panel
from datamodules import InteractionsDataModule
from lightning_modules.losses import Loss
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.schedule import FromScratch
from lightning_modules.search.settings import hand_made_losses
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trial import TrialKey
from lightning_modules.search.trials import Trials
from lightning_modules.training.executors import ProcessExecutor, SerialExecutor, TrainingExecutor
from lightning_modules.training.trainers import TrainerFactory

LEAST_RATIO = 1.7
RECIPE = {"max_epochs": 1, "accelerator": "cpu", "devices": 1}
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
SERIAL, ONE, TWO = "serial", "process, one worker", "process, two workers"
EXECUTORS: Mapping[str, Callable[[], TrainingExecutor]] = {
    SERIAL: SerialExecutor,
    ONE: partial(ProcessExecutor, workers=1),
    TWO: partial(ProcessExecutor, workers=2),
}


class Arm:
    """One executor, on which the same trials are trained again and again.

    Args:
        executor: Where trials are trained.
        data: What they are trained on.
        losses: One for each trial.
        seed: Of every trial and of the initial weights.

    Attributes:
        scores: What the trials of the last run ended with.
    """

    def __init__(
        self, executor: TrainingExecutor, data: InteractionsDataModule, losses: Mapping[str, Loss], seed: int
    ) -> None:
        self.executor = executor
        self.losses = losses
        self.scores: list[float | None] = []
        torch.manual_seed(seed)
        recommender = BiasedMF(data.num_users, data.num_items, optimizer=ADAM)
        self._trials = Trials(
            executor,
            TrialEvaluator(TrainerFactory(RECIPE), data),
            FromScratch(recommender),
            halving=SuccessiveHalving(),
            baseline=None,
            seed=seed,
            known={},
            record=lambda _: None,
        )

    def train(self, count: int | None = None) -> None:
        """Train a trial for every loss, or for the first ``count``."""
        losses = dict(list(self.losses.items())[:count])
        keys = [TrialKey(1, "candidate", number, 0, name) for number, name in enumerate(losses, start=1)]
        self._trials.known.clear()
        done = dict(self._trials.train(keys, list(losses.values())))
        self.scores = [done[index].score for index in range(len(keys))]


def start(data: InteractionsDataModule, losses: Mapping[str, Loss], seed: int) -> tuple[dict[str, Arm], Times]:
    """Return the arms, every worker of which has run trials, and the seconds that their first ones took."""
    arms, seconds = {}, {}
    for name, executor in EXECUTORS.items():
        begin = time.perf_counter()
        arms[name] = Arm(executor(), data, losses, seed)
        arms[name].train(arms[name].executor.slots)
        seconds[name] = time.perf_counter() - begin
        # Whichever worker was ready first may have trained all of those.
        arms[name].train(6 * arms[name].executor.slots)
        print(f"{name}: first trials after {seconds[name]:.1f} s", flush=True)
    return arms, [seconds]


def measure(arms: Mapping[str, Arm], repeats: int) -> Times:
    """Return the seconds of all arms in every repeat.

    Raises:
        RuntimeError: If they do not end with the same scores.
    """
    times: Times = []
    for repeat in range(repeats):
        order = list(arms)[:: -1 if repeat % 2 else 1]
        times += in_turn({name: arms[name].train for name in order}, 1)
        print(f"{repeat + 1}/{repeats}: {', '.join(f'{name} {each:.1f} s' for name, each in times[-1].items())}")
        if any(arm.scores != arms[SERIAL].scores for arm in arms.values()):
            raise RuntimeError("the executors end with different scores, so they are not the same work")
    return times


def report(times: Times, first: Times, trials: int) -> list[str]:
    """Return the tables and the ratio."""
    rates = {name: [trials / each[name] for each in times] for name in EXECUTORS}
    rows = [
        [name, median(rates[name]), f"{statistics.median(each[name] for each in times) / trials:.3f}", f"{own:.1f}"]
        for name, own in first[0].items()
    ]
    gains = {name: [each[ONE] / each[name] for each in times] for name in (SERIAL, TWO)}
    return [
        "BiasedMF (64), batch 128, one epoch and validation AUC with fused Adam 1e-3, one thread a process; "
        f"{trials} losses, hand-made ones and formulas drawn uniformly, on each executor {len(times)} times, in "
        "turn. All end with the same scores to the last bit.",
        table(["executor", "trials a second", "seconds a trial", "seconds until its first trials"], rows),
        "Medians (slowest to fastest). The last column is not part of the rates: workers start, import, map the data "
        "into their memory and train one trial each, once a search.",
        f"Two workers against one, median of the repeats: **{median(gains[TWO])}**; required at least "
        f"{verdict(gains[TWO], LEAST_RATIO)}. This process itself against one worker: {median(gains[SERIAL])}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data.root", dest="root", type=Path, required=True, help="folder in the published layout")
    parser.add_argument("--children", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    settle()
    data = InteractionsDataModule(str(options.root), batch_size=128)
    formulas = max(0, options.children - len(hand_made_losses()))
    losses = dict(list(panel(formulas, options.seed).items())[: options.children])
    arms, first = start(data, losses, options.seed)
    try:
        parts = report(measure(arms, options.repeats), first, len(losses))
    finally:
        for arm in arms.values():
            arm.executor.shutdown(cancel_futures=True)
    write_report("search_workers", title="Workers on one machine", parts=parts)


if __name__ == "__main__":
    main()
