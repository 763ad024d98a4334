"""Tries losses: trains them for as long as the ladder lets them, and turns their metrics into rewards."""

import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from lightning_modules.losses import Loss
from lightning_modules.search.evaluation import Evaluation
from lightning_modules.search.noise import chance_remark
from lightning_modules.search.places import TrialKey
from lightning_modules.search.rewards import FAILURE_REWARD
from lightning_modules.search.schedule import Schedule
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trainings import Start, Trainings

Value = TypeVar("Value")


@dataclass(frozen=True)
class Trial:
    """What became of a loss.

    Attributes:
        place: Its last training.
        loss: The loss.
        rung: Of the ladder, that training's number.
        evaluation: What became of that training.
        reward: Its score, less that of the baseline under the same budget; -1 where it has none, which is not to be
            compared with other rewards.
    """

    place: TrialKey
    loss: Loss
    rung: int
    evaluation: Evaluation
    reward: float

    @property
    def broke(self) -> bool:
        """Whether nothing was measured."""
        return self.evaluation.score is None


class Trials:
    """Trains the baseline, the hand-made losses and every round's candidates.

    Args:
        trainings: Trains children.
        schedule: Holds what they start from.
        ladder: How long they are trained.
        baseline: The loss whose metric is subtracted from that of every child with the same start and budget; ``None``
            rewards the metric itself.
        seed: Seed of every child; it moves on with the recommender.

    Attributes:
        remarks: What weakens all rewards of the present start.
    """

    def __init__(
        self, trainings: Trainings, schedule: Schedule, ladder: SuccessiveHalving, baseline: Loss | None, seed: int
    ) -> None:
        self.trainings = trainings
        self.schedule = schedule
        self.ladder = ladder
        self.baseline = baseline
        self.seed = seed
        self._baselines: dict[int, float] = {}
        self._components: dict[int, Tensor | None] = {}
        self.remarks: list[str] = []

    def measure_baseline(self) -> None:
        """Train the baseline for every budget, from where the recommender is now.

        Raises:
            RuntimeError: If it cannot be trained.
        """
        if self.baseline is None:
            return
        self._components, self.remarks = {}, []
        for epochs in self.ladder.epochs:
            place = TrialKey(self.schedule.moves, "baseline", 0, epochs, self.baseline.title)
            ((_, evaluation),) = self.trainings([place], [self.baseline], self._start())
            if evaluation.score is None:
                reason = (
                    evaluation.error or "Its loss or metric is not finite: look at the learning rate and the labels."
                )
                raise RuntimeError(
                    f"the baseline loss {self.baseline.title} could not be trained ({evaluation.status}). {reason}"
                )
            self._baselines[epochs], self._components[epochs] = evaluation.score, evaluation.components
            if remark := chance_remark(self.baseline.title, evaluation.score, evaluation.standard_error):
                self.remarks.append(remark)
                warnings.warn(remark, stacklevel=2)

    def references(self, losses: Mapping[str, Loss]) -> Generator[Trial]:
        """Train hand-made losses for the longest budget, and yield them in their order."""
        rung = len(self.ladder.epochs) - 1
        places = [
            TrialKey(0, "reference", position, self.ladder.top, name) for position, name in enumerate(losses, start=1)
        ]
        with closing(self._train(places, list(losses.values()), rung)) as trials:
            yield from trials

    def candidates(self, number: int, losses: Sequence[Loss]) -> Generator[tuple[int, Trial]]:
        """Train a round's candidates and yield each with its index once it is trained for the last time.

        On every rung of the ladder the candidates come in their order.
        """
        alive = list(range(len(losses)))
        for rung, epochs in enumerate(self.ladder.epochs):
            is_top = epochs == self.ladder.top
            places = [TrialKey(number, "candidate", index + 1, epochs, losses[index].title) for index in alive]
            done: dict[int, Trial] = {}
            with closing(self._train(places, [losses[index] for index in alive], rung)) as trials:
                for index, trial in zip(alive, trials, strict=True):
                    done[index] = trial
                    if is_top:
                        yield index, trial
            kept = self.ladder.survivors(rung, [trial.evaluation.score for trial in done.values()])
            alive = [alive[index] for index in kept]
            yield from ((index, trial) for index, trial in done.items() if not is_top and index not in alive)

    def advance(self, best: Trial | None) -> bool | None:
        """Let the recommender move on with a round's best candidate, if the schedule wants that."""
        if best is None or not self.schedule.wants(best.evaluation.score):
            return self.schedule.stay()
        self.schedule.move(self.trainings.weights(best.place, best.loss, self._start()), best.evaluation.score)
        return True

    def _start(self) -> Start:
        seed = self.seed + self.schedule.moves
        return Start(self.schedule.recommender, self.schedule.moves, seed, dict(self._components))

    def _train(self, places: Sequence[TrialKey], losses: Sequence[Loss], rung: int) -> Generator[Trial]:
        with closing(self.trainings(places, losses, self._start())) as results:
            for index, evaluation in in_order(results):
                reward = self._reward(evaluation, places[index].epochs)
                yield Trial(places[index], losses[index], rung, evaluation, reward)

    def _reward(self, evaluation: Evaluation, epochs: int) -> float:
        if evaluation.score is None:
            return FAILURE_REWARD
        if self.baseline is None:
            return evaluation.score
        return evaluation.score - self._baselines[epochs]


def in_order(numbered: Iterable[tuple[int, Value]]) -> Generator[tuple[int, Value]]:
    """Yield numbered values by rising number from 0, each as soon as those before it are there."""
    early: dict[int, Value] = {}
    following = 0
    for number, value in numbered:
        early[number] = value
        while following in early:
            yield following, early.pop(following)
            following += 1
