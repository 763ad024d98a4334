"""Trains every trial once in a study: in groups on an executor, each written to disk as soon as it is known."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import LossObject
from lightning_modules.search.evaluation import Evaluator
from lightning_modules.search.rewards import Baseline
from lightning_modules.search.schedule import BestCandidate, Schedule
from lightning_modules.search.trial import Assignment, Evaluation, Regime, TrialKey
from lightning_modules.training.executors import Shared, TrainingExecutor
from lightning_modules.training.executors.dispatch import Death, dispatch

#: Writes finished trials to disk, all of them or none.
Record = Callable[[Sequence[tuple[TrialKey, Evaluation]]], object]

# Added to the seed of trials that are trained again with another one, far from those of a recommender that moves on.
_OTHER_SEED = 2**20


class TrialRunner:
    """Trains losses in groups on an executor, and yields each one as soon as it is on disk.

    Args:
        executor: Where losses are trained.
        evaluator: Trains a group of losses.
        schedule: Holds the recommender that every trial starts from.
        baseline: The loss whose score is subtracted from that of every trial with the same start, seed and budget;
            ``None`` rewards the score itself.
        seed: Seed of every trial; it rises by 1 whenever the recommender takes over a candidate's weights.
        known: Finished trials, which are not run again.
        record: Writes trials to disk before they are yielded.
        best: Keeps the weights of a round's best candidate, if the schedule needs them.
        metric: Name of the metric that scores are of.
    """

    def __init__(
        self,
        executor: TrainingExecutor,
        evaluator: Evaluator,
        schedule: Schedule,
        *,
        baseline: LossObject | None,
        seed: int,
        known: Mapping[TrialKey, Evaluation],
        record: Record,
        best: BestCandidate | None = None,
        metric: str = "val/auc",
    ) -> None:
        self.schedule = schedule
        self.baseline = Baseline(baseline, metric)
        self.other_baseline = Baseline(baseline, metric)
        self.seed = seed
        self.known = dict(known)
        self._stored = frozenset(known)
        self.record = record
        self.best = best
        self._executor = executor
        self._evaluator = executor.share(evaluator)
        self._group = evaluator.group
        self._recommender: tuple[int, Shared[pl.LightningModule]] | None = None

    def train(
        self, keys: Sequence[TrialKey], losses: Sequence[LossObject], regimes: Sequence[Regime] | None = None
    ) -> Generator[tuple[int, Evaluation]]:
        """Train every loss whose trial is unknown and yield all evaluations with their index, as they become known.

        Args:
            keys: The trials.
            losses: Their losses.
            regimes: How each of them is trained; by default as its budget is.

        Raises:
            OSError: If a trial cannot be written to disk.
        """
        chosen = [self.regime(key.epochs) for key in keys] if regimes is None else regimes
        groups = self._groups(chosen)
        missing = [group for group in groups if not all(keys[index] in self.known for index in group)]
        for group in groups:
            if group not in missing:
                yield from ((index, self.known[keys[index]]) for index in group)
        grouped = [[keys[index] for index in group] for group in missing]
        calls = [
            self._call(own, [losses[index] for index in group], chosen[group[0]])
            for own, group in zip(grouped, missing, strict=True)
        ]

        def on_done(number: int, outcome: list[Evaluation] | Death) -> None:
            self._keep(grouped[number], outcome)

        for number in dispatch(self._executor, train_group, calls, on_done):
            yield from ((index, self.known[keys[index]]) for index in missing[number])

    def has_begun(self, number: int) -> bool:
        """Return whether a candidate of a round has been trained."""
        return any(key.is_candidate and key.round == number for key in self.known)

    def has_stored(self, key: TrialKey) -> bool:
        """Return whether a trial was trained by an earlier process."""
        return key in self._stored

    def regime(self, epochs: int) -> Regime:  # noqa: ARG002 (of subclasses)
        """Return how trials of a budget are trained."""
        return Regime()

    def weights(self, key: TrialKey, loss: LossObject) -> Mapping[str, Tensor]:
        """Return the weights of a candidate, which is trained again if they were lost.

        Raises:
            RuntimeError: If that ends its process, twice.
        """
        assert self.best is not None
        kept = self.best.weights(key)
        if kept is not None:
            return kept
        outcomes: dict[int, list[Evaluation] | Death] = {}
        call = self._call([key], [loss], self.regime(key.epochs))
        list(dispatch(self._executor, train_group, [call], outcomes.__setitem__))
        outcome = outcomes[0]
        if isinstance(outcome, Death):
            raise RuntimeError(f"{key.title} could not be trained again for its weights: {outcome.reason}")
        (again,) = outcome
        assert again.weights is not None
        return again.weights

    def baseline_of(self, key: TrialKey) -> Baseline:
        """Return the baseline with the seed of a trial."""
        return self.other_baseline if key.has_other_seed else self.baseline

    def _groups(self, regimes: Sequence[Regime]) -> list[range]:
        """Return ranges of trials of one regime, no more than are trained at a time with all of its settings."""
        groups: list[range] = []
        for regime, alike in groupby(range(len(regimes)), regimes.__getitem__):
            numbers = [*alike]
            first, end = numbers[0], numbers[-1] + 1
            most = max(1, self._group // max(1, len(regime.settings)))
            groups += [range(begin, min(begin + most, end)) for begin in range(first, end, most)]
        return groups

    def _call(
        self, keys: Sequence[TrialKey], losses: Sequence[LossObject], regime: Regime
    ) -> tuple[Shared[Evaluator], Shared[pl.LightningModule], Assignment]:
        moves = self.schedule.moves
        if self._recommender is None or self._recommender[0] != moves:
            self._recommender = moves, self._executor.share(self.schedule.recommender)
        assignment = Assignment(
            losses=tuple(losses),
            names=tuple(key.title for key in keys),
            seed=self.seed + moves + (_OTHER_SEED if keys[0].has_other_seed else 0),
            epochs=keys[0].epochs or None,
            keep_weights=self.best is not None and keys[0].is_candidate,
            settings=regime.settings,
            patience=regime.patience,
        )
        return self._evaluator, self._recommender[1], assignment

    def _keep(self, keys: Sequence[TrialKey], outcome: list[Evaluation] | Death) -> None:
        """Record the evaluations of a group, without weights: those of a whole round need not fit into memory."""
        evaluations = [_killed(outcome)] * len(keys) if isinstance(outcome, Death) else outcome
        finished = list(zip(keys, evaluations, strict=True))
        if self.best is not None:
            for key, evaluation in finished:
                self.best.offer(key, evaluation)
        light = [(key, self._light(key, evaluation)) for key, evaluation in finished]
        self.record(light)
        self.known.update(light)

    def _light(self, key: TrialKey, evaluation: Evaluation) -> Evaluation:
        components = evaluation.components if key.is_baseline else None
        error = self.baseline_of(key).standard_error(evaluation, key.epochs)
        return replace(evaluation, weights=None, components=components, standard_error=error)


def train_group(
    evaluator: Shared[Evaluator], recommender: Shared[pl.LightningModule], assignment: Assignment
) -> list[Evaluation]:
    """Train a group of losses in the process that calls this."""
    return evaluator.get().evaluate(recommender.get(), assignment)


def _killed(death: Death) -> Evaluation:
    return Evaluation("failed", None, 0.0, death.error)
