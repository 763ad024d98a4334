"""The trials of a search: the baseline, the hand-made losses and every round's candidates."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from lightning_modules.losses import LossObject
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.rewards import Baseline
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trial import Regime, Trial, TrialKey
from lightning_modules.search.trial_runner import TrialRunner
from lightning_modules.training.executors.dispatch import in_order
from lightning_modules.training.tuning import Setting

#: Is told of a setting of the baseline, and of its score, None where the training failed.
OnSetting = Callable[[Setting, float | None], object]


def _not_told(setting: Setting, score: float | None) -> None:
    pass


class Trials(TrialRunner):
    """Trains the losses of a search under its budgets, and gives every trial its reward.

    Args:
        arguments: Those of :class:`TrialRunner`.
        halving: The budgets of a round.
        tuning: How trials are tuned; ``None`` trains each of them once, with the optimizer's own settings.
        options: The other arguments of :class:`TrialRunner`.
    """

    def __init__(
        self, *arguments: Any, halving: SuccessiveHalving, tuning: RewardTuning | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.halving = halving
        self.tuning = tuning
        self._regimes: Mapping[int, Regime] | None = None

    @property
    def retrained_share(self) -> float:
        """The share of the best candidates that are trained again with another seed."""
        return 0.0 if self.tuning is None else self.tuning.retrained_share

    def regime(self, epochs: int) -> Regime:
        """Return how trials of a budget are trained: with the whole grid under the longest one alone."""
        if self.tuning is None:
            return Regime()
        if self._regimes is None:
            self._regimes = self._tuned(self.tuning, _not_told)
        return self._regimes[epochs]

    def measure_baseline(self, on_setting: OnSetting = _not_told) -> None:
        """Train the baseline from the present recommender under every budget, after tuning it.

        Args:
            on_setting: Is told of every setting that was tried.

        Raises:
            RuntimeError: If it cannot be trained.
        """
        if self.baseline.loss is None:
            return
        if self.tuning is not None and self._regimes is None:
            self._regimes = self._tuned(self.tuning, on_setting)
        self.baseline.clear()
        self.other_baseline = Baseline(self.baseline.loss, self.baseline.metric)
        for epochs in self.halving.epochs:
            self._add_baseline(self.baseline, epochs, position=0)

    def references(self, losses: Mapping[str, LossObject]) -> Generator[Trial]:
        """Train hand-made losses, given by name, under the longest budget and yield their trials in order."""
        epochs, rung = self.halving.longest, len(self.halving.epochs) - 1
        keys = [TrialKey(0, "reference", position, epochs, name) for position, name in enumerate(losses, start=1)]
        with closing(self._trials(keys, list(losses.values()), rung)) as trials:
            yield from trials

    def candidates(self, number: int, losses: Sequence[LossObject]) -> Generator[tuple[int, Trial]]:
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

    def again(self, trials: Sequence[Trial]) -> Generator[Trial]:
        """Train candidates of the longest budget again with another seed, and yield each with the means of both."""
        epochs = self.halving.longest
        if trials and self.other_baseline.loss is not None and not self.other_baseline.has(epochs):
            self._add_baseline(self.other_baseline, epochs, position=1)
        keys = [trial.key.again for trial in trials]
        with closing(self._trials(keys, [trial.loss for trial in trials], rung=0)) as others:
            yield from (trial.averaged(other) for trial, other in zip(trials, others, strict=True))

    def advance(self, best: Trial | None) -> bool | None:
        """Let the recommender take over the weights of a round's best candidate, if the schedule wants that.

        Returns:
            Whether it did; ``None`` if it never does.
        """
        if best is None or not self.schedule.wants(best.evaluation.score):
            return self.schedule.stay()
        self.schedule.move(self.weights(best.key, best.loss), best.evaluation.score)
        return True

    def _add_baseline(self, baseline: Baseline, epochs: int, position: int) -> None:
        assert baseline.loss is not None
        key = TrialKey(self.schedule.moves, "baseline", position, epochs, baseline.loss.title)
        ((_, evaluation),) = self.train([key], [baseline.loss])
        baseline.add(epochs, evaluation)

    def _trials(self, keys: Sequence[TrialKey], losses: Sequence[LossObject], rung: int) -> Generator[Trial]:
        with closing(self.train(keys, losses)) as evaluations:
            for index, evaluation in in_order(evaluations):
                reward = self.baseline_of(keys[index]).reward(evaluation, keys[index].epochs)
                yield Trial(keys[index], losses[index], rung, evaluation, reward)

    def _tuned(self, tuning: RewardTuning, on_setting: OnSetting) -> Mapping[int, Regime]:
        """Tune the baseline and return how trials of every budget are trained."""
        assert self.baseline.loss is not None
        tuning.check_loss(self.baseline.loss)
        best = tuning.of_baseline.best(SettingScores(self, tuning, on_setting).of)
        shorter = dict.fromkeys(self.halving.epochs, tuning.alone(best))
        return {**shorter, self.halving.longest: tuning.around(best)}


class SettingScores:
    """Trains the baseline with one setting after another, each of them a trial.

    Args:
        trials: Trains them.
        tuning: How a trial with one setting is trained.
        on_setting: Is told of each of them.
    """

    def __init__(self, trials: Trials, tuning: RewardTuning, on_setting: OnSetting = _not_told) -> None:
        self.trials = trials
        self.tuning = tuning
        self.on_setting = on_setting
        self._tried = 0

    def of(self, settings: Sequence[Setting]) -> list[float]:
        """Return the scores of settings; -inf where the training failed."""
        loss = self.trials.baseline.loss
        assert loss is not None
        names = [" ".join([loss.title, *(f"{value:g}" for value in each.values)]) for each in settings]
        epochs, first = self.trials.halving.longest, self._tried + 1
        keys = [TrialKey(0, "tuning", number, epochs, name) for number, name in enumerate(names, start=first)]
        self._tried += len(settings)
        regimes = [self.tuning.alone(each) for each in settings]
        scores = [-math.inf] * len(keys)
        for index, evaluation in self.trials.train(keys, [loss] * len(keys), regimes):
            self.on_setting(settings[index], evaluation.score)
            scores[index] = -math.inf if evaluation.score is None else evaluation.score
        return scores
