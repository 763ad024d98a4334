"""Trains children where an executor puts them, each once in the life of a study."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import Loss
from lightning_modules.search.best_child import BestCandidate
from lightning_modules.search.evaluation import Assignment, Evaluation, Evaluator
from lightning_modules.search.executors import Shared, TrialExecutor
from lightning_modules.search.executors.dispatch import Death, dispatch
from lightning_modules.search.places import TrialKey
from lightning_modules.statistics.standard_errors import standard_error


@dataclass(frozen=True)
class Start:
    """What children start from.

    Attributes:
        recommender: What they are copies of.
        moves: How often it has moved on, by which it is known again.
        seed: Of every child.
        baseline: What every reward row adds to the score of the baseline, if there is one, by epochs; ``None`` where
            that is not known.
    """

    recommender: pl.LightningModule
    moves: int
    seed: int
    baseline: Mapping[int, Tensor | None] = field(default_factory=dict)


#: Writes children to disk, all of them or none.
Record = Callable[[Sequence[tuple[TrialKey, Evaluation]]], object]


class Trainings:
    """Trains losses in groups, and tells of every child as soon as it is on disk.

    Args:
        executor: Where children are trained.
        evaluator: Trains a group of them.
        known: Children that were trained before, which are not trained again.
        record: Writes children to disk; called before anyone else is told of them.
        best: Keeps the weights of a round's best child.
    """

    def __init__(
        self,
        executor: TrialExecutor,
        evaluator: Evaluator,
        known: Mapping[TrialKey, Evaluation],
        record: Record,
        best: BestCandidate | None = None,
    ) -> None:
        self.executor = executor
        self.group = evaluator.group
        self.known = dict(known)
        self.record = record
        self.best = best
        self._evaluator = executor.share(evaluator)
        self._recommender: tuple[int, Shared[pl.LightningModule]] | None = None

    def __call__(
        self, places: Sequence[TrialKey], losses: Sequence[Loss], start: Start
    ) -> Generator[tuple[int, Evaluation]]:
        """Train a child for every loss and yield it with its index, in the order in which they are known.

        Raises:
            OSError: If a child cannot be written to disk.
        """
        groups = [range(first, min(first + self.group, len(places))) for first in range(0, len(places), self.group)]
        missing = [group for group in groups if not all(places[index] in self.known for index in group)]
        for group in groups:
            if group not in missing:
                yield from ((index, self.known[places[index]]) for index in group)
        assignments = [self._assignment(group, places, losses, start.seed) for group in missing]
        shared = self._shared(start) if missing else None
        calls = [(self._evaluator, shared, assignment) for assignment in assignments]

        def on_done(number: int, outcome: list[Evaluation] | Death) -> None:
            self._take_in([places[index] for index in missing[number]], outcome, start)

        for number in dispatch(self.executor, train, calls, on_done):
            yield from ((index, self.known[places[index]]) for index in missing[number])

    def weights(self, place: TrialKey, loss: Loss, start: Start) -> Mapping[str, Tensor]:
        """Return the weights of a trained child, which is trained again if they were lost.

        Raises:
            RuntimeError: If that ends its process, twice.
        """
        assert self.best is not None
        kept = self.best.weights(place)
        if kept is not None:
            return kept
        assignment = self._assignment([0], [place], [loss], start.seed)
        outcomes: dict[int, list[Evaluation] | Death] = {}
        call = (self._evaluator, self._shared(start), assignment)
        list(dispatch(self.executor, train, [call], outcomes.__setitem__))
        outcome = outcomes[0]
        if isinstance(outcome, Death):
            raise RuntimeError(f"{place.title} could not be trained again for its weights: {outcome.reason}")
        (again,) = outcome
        assert again.weights is not None
        return again.weights

    def _assignment(
        self, group: Sequence[int], places: Sequence[TrialKey], losses: Sequence[Loss], seed: int
    ) -> Assignment:
        return Assignment(
            losses=tuple(losses[index] for index in group),
            names=tuple(places[index].title for index in group),
            seed=seed,
            epochs=places[group[0]].epochs or None,
            keep_weights=self.best is not None and places[group[0]].may_be_best,
        )

    def _take_in(self, places: Sequence[TrialKey], outcome: list[Evaluation] | Death, start: Start) -> None:
        evaluations = [_killed(outcome)] * len(places) if isinstance(outcome, Death) else outcome
        children = list(zip(places, evaluations, strict=True))
        if self.best is not None:
            for place, evaluation in children:
                self.best.offer(place, evaluation)
        light = [(place, _light(place, evaluation, start)) for place, evaluation in children]
        self.record(light)
        self.known.update(light)

    def _shared(self, start: Start) -> Shared[pl.LightningModule]:
        if self._recommender is None or self._recommender[0] != start.moves:
            self._recommender = (start.moves, self.executor.share(start.recommender))
        return self._recommender[1]


def train(
    evaluator: Shared[Evaluator], recommender: Shared[pl.LightningModule], assignment: Assignment
) -> list[Evaluation]:
    """Train a group of children, in whatever process this is called."""
    return evaluator.get()(recommender.get(), assignment)


def _light(place: TrialKey, evaluation: Evaluation, start: Start) -> Evaluation:
    """Return what is kept of a child: all of a round need not fit into memory."""
    kept = evaluation.components if place.is_baseline else None
    return replace(evaluation, weights=None, components=kept, standard_error=_noise(place, evaluation, start))


def _noise(place: TrialKey, evaluation: Evaluation, start: Start) -> float | None:
    """Return the standard error of a child's reward, or of its score where there is no baseline to compare it with."""
    if place.epochs not in start.baseline:
        return standard_error(evaluation.components)
    baseline = start.baseline[place.epochs]
    return None if baseline is None else standard_error(evaluation.components, baseline)


def _killed(death: Death) -> Evaluation:
    return Evaluation("failed", None, 0.0, f"its process died, and so it did on a second try: {death.reason}")
