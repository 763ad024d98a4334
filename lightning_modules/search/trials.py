"""Runs trials: the baseline, the hand-made losses and every round's candidates, each trained once in a study."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import Loss
from lightning_modules.search.evaluation import Evaluator
from lightning_modules.search.executors import Shared, TrialExecutor
from lightning_modules.search.executors.dispatch import Death, dispatch, in_order
from lightning_modules.search.rewards import Baseline
from lightning_modules.search.schedule import BestCandidate, Schedule
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trial import Assignment, Evaluation, Trial, TrialKey

#: Writes finished trials to disk, all of them or none.
Record = Callable[[Sequence[tuple[TrialKey, Evaluation]]], object]


class Trials:
    """Trains losses in groups on an executor, and yields each one as soon as it is on disk.

    Args:
        executor: Where losses are trained.
        evaluator: Trains a group of losses.
        schedule: Holds the recommender that every trial starts from.
        halving: The budgets of a round.
        baseline: The loss whose score is subtracted from that of every trial with the same start and budget; ``None``
            rewards the score itself.
        seed: Seed of every trial; it rises by 1 whenever the recommender takes over a candidate's weights.
        known: Finished trials, which are not run again.
        record: Writes trials to disk before they are yielded.
        best: Keeps the weights of a round's best candidate, if the schedule needs them.
    """

    def __init__(
        self,
        executor: TrialExecutor,
        evaluator: Evaluator,
        schedule: Schedule,
        *,
        halving: SuccessiveHalving,
        baseline: Loss | None,
        seed: int,
        known: Mapping[TrialKey, Evaluation],
        record: Record,
        best: BestCandidate | None = None,
    ) -> None:
        self.schedule = schedule
        self.halving = halving
        self.baseline = Baseline(baseline)
        self.seed = seed
        self.known = dict(known)
        self.record = record
        self.best = best
        self._executor = executor
        self._evaluator = executor.share(evaluator)
        self._group = evaluator.group
        self._recommender: tuple[int, Shared[pl.LightningModule]] | None = None

    def measure_baseline(self) -> None:
        """Train the baseline from the present recommender under every budget.

        Raises:
            RuntimeError: If it cannot be trained.
        """
        loss = self.baseline.loss
        if loss is None:
            return
        self.baseline.clear()
        for epochs in self.halving.epochs:
            key = TrialKey(self.schedule.moves, "baseline", 0, epochs, loss.title)
            ((_, evaluation),) = self.train([key], [loss])
            self.baseline.add(epochs, evaluation)

    def references(self, losses: Mapping[str, Loss]) -> Generator[Trial]:
        """Train hand-made losses, given by name, under the longest budget and yield their trials in order."""
        epochs, rung = self.halving.longest, len(self.halving.epochs) - 1
        keys = [TrialKey(0, "reference", position, epochs, name) for position, name in enumerate(losses, start=1)]
        with closing(self._trials(keys, list(losses.values()), rung)) as trials:
            yield from trials

    def candidates(self, number: int, losses: Sequence[Loss]) -> Generator[tuple[int, Trial]]:
        """Train a round's candidates by successive halving and yield the last trial of each with its index.

        Args:
            number: The round.
            losses: The candidates, which come in their order on every rung.
        """
        alive = list(range(len(losses)))
        for rung, epochs in enumerate(self.halving.epochs):
            is_last = epochs == self.halving.longest
            keys = [TrialKey(number, "candidate", index + 1, epochs, losses[index].title) for index in alive]
            done: dict[int, Trial] = {}
            with closing(self._trials(keys, [losses[index] for index in alive], rung)) as trials:
                for index, trial in zip(alive, trials, strict=True):
                    done[index] = trial
                    if is_last:
                        yield index, trial
            kept = self.halving.survivors(rung, [trial.evaluation.score for trial in done.values()])
            alive = [alive[index] for index in kept]
            yield from ((index, trial) for index, trial in done.items() if not is_last and index not in alive)

    def advance(self, best: Trial | None) -> bool | None:
        """Let the recommender take over the weights of a round's best candidate, if the schedule wants that.

        Returns:
            Whether it did; ``None`` if it never does.
        """
        if best is None or not self.schedule.wants(best.evaluation.score):
            return self.schedule.stay()
        self.schedule.move(self.weights(best.key, best.loss), best.evaluation.score)
        return True

    def train(self, keys: Sequence[TrialKey], losses: Sequence[Loss]) -> Generator[tuple[int, Evaluation]]:
        """Train every loss whose trial is unknown and yield all evaluations with their index, as they become known.

        Raises:
            OSError: If a trial cannot be written to disk.
        """
        groups = [range(first, min(first + self._group, len(keys))) for first in range(0, len(keys), self._group)]
        missing = [group for group in groups if not all(keys[index] in self.known for index in group)]
        for group in groups:
            if group not in missing:
                yield from ((index, self.known[keys[index]]) for index in group)
        grouped = [[keys[index] for index in group] for group in missing]
        calls = [
            self._call(own, [losses[index] for index in group]) for own, group in zip(grouped, missing, strict=True)
        ]

        def on_done(number: int, outcome: list[Evaluation] | Death) -> None:
            self._keep(grouped[number], outcome)

        for number in dispatch(self._executor, train_group, calls, on_done):
            yield from ((index, self.known[keys[index]]) for index in missing[number])

    def weights(self, key: TrialKey, loss: Loss) -> Mapping[str, Tensor]:
        """Return the weights of a candidate, which is trained again if they were lost.

        Raises:
            RuntimeError: If that ends its process, twice.
        """
        assert self.best is not None
        kept = self.best.weights(key)
        if kept is not None:
            return kept
        outcomes: dict[int, list[Evaluation] | Death] = {}
        list(dispatch(self._executor, train_group, [self._call([key], [loss])], outcomes.__setitem__))
        outcome = outcomes[0]
        if isinstance(outcome, Death):
            raise RuntimeError(f"{key.title} could not be trained again for its weights: {outcome.reason}")
        (again,) = outcome
        assert again.weights is not None
        return again.weights

    def _trials(self, keys: Sequence[TrialKey], losses: Sequence[Loss], rung: int) -> Generator[Trial]:
        with closing(self.train(keys, losses)) as evaluations:
            for index, evaluation in in_order(evaluations):
                reward = self.baseline.reward(evaluation, keys[index].epochs)
                yield Trial(keys[index], losses[index], rung, evaluation, reward)

    def _call(
        self, keys: Sequence[TrialKey], losses: Sequence[Loss]
    ) -> tuple[Shared[Evaluator], Shared[pl.LightningModule], Assignment]:
        moves = self.schedule.moves
        if self._recommender is None or self._recommender[0] != moves:
            self._recommender = moves, self._executor.share(self.schedule.recommender)
        assignment = Assignment(
            losses=tuple(losses),
            names=tuple(key.title for key in keys),
            seed=self.seed + moves,
            epochs=keys[0].epochs or None,
            keep_weights=self.best is not None and keys[0].is_candidate,
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
        error = self.baseline.standard_error(evaluation, key.epochs)
        return replace(evaluation, weights=None, components=components, standard_error=error)


def train_group(
    evaluator: Shared[Evaluator], recommender: Shared[pl.LightningModule], assignment: Assignment
) -> list[Evaluation]:
    """Train a group of losses in the process that calls this."""
    return evaluator.get().evaluate(recommender.get(), assignment)


def _killed(death: Death) -> Evaluation:
    return Evaluation("failed", None, 0.0, f"its process died, and so it did on a second try: {death.reason}")
