"""The search command with simulated workers, and where the driver's time goes."""

import copy
import os
import statistics
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.common.commands import run_command
from benchmarks.common.simulated_workers import SimulatedWorkers, VirtualClock
from benchmarks.common.stopwatch import Span, inside, timed, total
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.loss_search import LossSearch
from lightning_modules.search.reports.progress import ProgressDisplay
from lightning_modules.search.reports.summary import FormulasFile
from lightning_modules.search.reports.tensorboard import SearchTensorBoard
from lightning_modules.search.rewards import Baseline
from lightning_modules.search.sampling import Sampler
from lightning_modules.search.screening import Screening
from lightning_modules.search.snapshots import Snapshots
from lightning_modules.search.strategies import PPO
from lightning_modules.search.strategies.policy_gradient import PolicyGradient
from lightning_modules.search.trial import Assignment, Evaluation

COMMAND = [
    *("search", "--seed_everything=1", "--model=BiasedMF", "--data=SyntheticInteractions"),
    *("--trainer.accelerator=cpu", "--search.references=[]", "--search.fused=false"),
]
OTHER = "all else"
#: The calls that make up a part of a round.
PARTS: Mapping[str, Sequence[tuple[type, str]]] = {
    "draw and screen": [(Sampler, "sample")],
    "update the strategy": [(PolicyGradient, "tell")],
    "send and receive": [(SimulatedWorkers, "submit"), (SimulatedWorkers, "wait")],
    "standard errors": [(Baseline, "standard_error")],
    "ledger": [(Ledger, "record"), (Ledger, "on_candidate")],
    "snapshots": [(Snapshots, "offer")],
    "progress, TensorBoard, figures": [
        (ProgressDisplay, "on_candidate"),
        (ProgressDisplay, "on_round"),
        (FormulasFile, "on_candidate"),
        (SearchTensorBoard, "on_candidate"),
        (SearchTensorBoard, "on_round"),
    ],
}


@dataclass(frozen=True)
class Simulation:
    """A search on simulated workers.

    Attributes:
        candidates: Candidates a round.
        workers: Number of workers.
        speed: Seconds that a worker takes for a candidate.
        round: Seconds a round.
        busy: Seconds a round in which the driver computed.
        parts: The same, part by part.
        sent: Median bytes of a call.
        received: Median bytes of a result.
    """

    candidates: int
    workers: int
    speed: float
    round: float
    busy: float
    parts: Mapping[str, float]
    sent: float
    received: float

    @property
    def share(self) -> float:
        """The share of a round in which the driver computes."""
        return self.busy / self.round

    @property
    def use(self) -> float:
        """The share of the workers' time in which they train."""
        return self.candidates * self.speed / (self.workers * self.round)

    def even_workers(self, speed: float) -> float:
        """Return how many workers of a speed train a round's candidates while the driver computes for a round."""
        return self.candidates * speed / self.busy


class WarmUp:
    """Warms PPO up once, and gives later searches of the same space and seed the state that it had then."""

    def __init__(self) -> None:
        self._state: tuple[Any, Any] | None = None
        self._warm_up = PPO.warm_up

    def warm_up(self, strategy: PPO, screening: Screening, updates: int) -> Iterator[dict[str, float]]:
        """Warm a strategy up, or give it and its screening the state of the first one."""
        if self._state is None:
            yield from self._warm_up(strategy, screening, updates)
            self._state = copy.deepcopy((strategy.state_dict(), screening.state_dict()))
        # The next search must not go on with the tensors of this one.
        learned, screened = copy.deepcopy(self._state)
        strategy.load_state_dict(learned)
        screening.load_state_dict(screened)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Let all searches share the warm-up."""
        with mock.patch.object(PPO, "warm_up", lambda *given: self.warm_up(*given)):
            yield


def simulate(
    candidates: int, workers: int, speed: float, *, rounds: int, reward_rows: int, arguments: Sequence[str] = ()
) -> Simulation:
    """Search on simulated workers.

    Args:
        candidates: Candidates a round.
        workers: Number of workers.
        speed: Seconds that a worker takes for a candidate.
        rounds: Rounds of the search.
        reward_rows: Rows that rewards are measured on, each of which has a contribution to the standard error.
        arguments: Further ones of the command.
    """
    clock = VirtualClock()
    pool = SimulatedWorkers(workers, speed, clock)
    methods = [(LossSearch, "_round"), *(method for each in PARTS.values() for method in each)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        (moments,) = stack.enter_context(timed((LossSearch, "_round"), clock=clock.now))
        own, *calls = stack.enter_context(timed(*methods, clock=clock.busy))
        stack.enter_context(simulated(pool, reward_rows))
        options = [f"--search.candidates={candidates}", f"--search.rounds={rounds}", f"--search.root={folder}"]
        run_command([*COMMAND, *options, *arguments])
    return Simulation(
        candidates,
        workers,
        speed,
        statistics.fmean(each.seconds for each in _later(moments)),
        statistics.fmean(each.seconds for each in _later(own)),
        _by_parts(_later(own), calls),
        statistics.median(pool.sent),
        statistics.median(pool.received),
    )


def _later(rounds: list[Span]) -> list[Span]:
    """Leave out the first of several rounds, which imports what draws figures."""
    return rounds[1:] or rounds


def _by_parts(rounds: list[Span], calls: list[list[Span]]) -> dict[str, float]:
    seconds = iter([statistics.fmean(total(inside(spans, each)) for each in rounds) for spans in calls])
    parts = {name: sum(next(seconds) for _ in methods) for name, methods in PARTS.items()}
    return {**parts, OTHER: statistics.fmean(each.seconds for each in rounds) - sum(parts.values())}


@contextmanager
def simulated(pool: SimulatedWorkers, reward_rows: int) -> Iterator[None]:
    """Let searches train on simulated workers, and print nothing."""
    components = torch.full((reward_rows,), 0.01 / max(1, reward_rows) ** 0.5)

    def evaluate(_: TrialEvaluator, __: object, assignment: Assignment) -> list[Evaluation]:
        return [Evaluation("trained", _score(name), pool.seconds, components=components) for name in assignment.names]

    with (
        mock.patch("lightning_modules.search.command.opened_executor", return_value=nullcontext(pool)),
        mock.patch.object(TrialEvaluator, "evaluate", evaluate),
        pool.waited_for(),
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
    ):
        yield


def _score(name: str) -> float:
    """Return an AUC that depends on the name alone."""
    return 0.75 + 0.02 * zlib.crc32(name.encode()) / 2**32
