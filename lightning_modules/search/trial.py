"""A trial: one loss that is trained from one start under one budget. Its key, its input and its result."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from torch import Tensor

from lightning_modules.losses import LossObject
from lightning_modules.training.tuning import Setting


@dataclass(frozen=True)
class TrialKey:
    """The unique key of a trial in its study.

    Attributes:
        round: Round of the search, 0 before the first; for the baseline the number of times that the recommender had
            taken over a candidate's weights.
        kind: ``baseline``, ``reference`` or ``candidate``; ``tuning`` for a setting that the baseline is tried with,
            ``retrial`` for a candidate with another seed.
        position: Number within the round; for the baseline 0, or 1 with that other seed.
        epochs: The budget; 0 is the number of epochs in the Trainer's recipe.
        name: The formula, or the name of a hand-made loss.
    """

    round: int
    kind: str
    position: int
    epochs: int
    name: str

    @property
    def is_candidate(self) -> bool:
        """Whether the recommender may take over the trial's weights."""
        return self.kind == "candidate"

    @property
    def is_baseline(self) -> bool:
        """Whether the rewards of other trials are differences to this one's score."""
        return self.kind == "baseline"

    @property
    def has_other_seed(self) -> bool:
        """Whether this is a training with another seed, whose reward is a difference to such a one of the baseline."""
        return self.kind == "retrial" or (self.is_baseline and self.position > 0)

    @property
    def again(self) -> "TrialKey":
        """The key of a candidate's training with another seed."""
        return replace(self, kind="retrial")

    @property
    def title(self) -> str:
        """The trial's name in logs."""
        duration = f" {self.epochs} epochs" if self.epochs else ""
        return f"{self.round:03d}-{self.position:03d}{duration} {self.name}"


@dataclass(frozen=True)
class Regime:
    """How a trial is trained; see :class:`Assignment`."""

    settings: tuple[Setting, ...] = ()
    patience: int | None = None


@dataclass(frozen=True)
class GridPoint:
    """One training of a trial.

    Attributes:
        loss: The loss.
        name: Its name in logs.
        setting: The setting; ``None`` leaves the optimizer's own.
    """

    loss: LossObject
    name: str
    setting: Setting | None = None


@dataclass(frozen=True)
class Assignment:
    """What one call of an evaluator trains.

    Attributes:
        losses: The losses, each of which trains a copy of the recommender.
        names: Their names in logs.
        seed: Seed of every trial.
        epochs: The budget; ``None`` is the number of epochs in the Trainer's recipe.
        keep_weights: Whether the evaluations hold the trained weights.
        settings: The grid of settings: each of them trains a copy of the recommender with each loss, and the best one
            is the loss's result; those that differ in nothing that the loss has train one. Empty trains once, with the
            optimizer's own.
        patience: Validations without a better metric before a training ends, whose best one is its result; ``None``
            trains all epochs, and the last validation is the result.
    """

    losses: tuple[LossObject, ...]
    names: tuple[str, ...]
    seed: int
    epochs: int | None = None
    keep_weights: bool = False
    settings: tuple[Setting, ...] = ()
    patience: int | None = None

    @property
    def points(self) -> list[GridPoint]:
        """The trainings: those of the first loss, then those of the next one, and so on."""
        return [
            GridPoint(loss, name) if setting is None else GridPoint(setting.of_loss(loss), name, setting)
            for loss, name in zip(self.losses, self.names, strict=True)
            for setting in (self._settings_of(loss) or (None,))
        ]

    def best_of_each(self, evaluations: Sequence["Evaluation"]) -> list["Evaluation"]:
        """Return the best evaluation of every loss, the first of equals, with the seconds of all of them.

        Args:
            evaluations: Those of :attr:`points`.
        """
        remaining = iter(evaluations)
        grids = [list(islice(remaining, len(self._settings_of(loss)) or 1)) for loss in self.losses]
        return [replace(max(grid, key=_score), seconds=sum(each.seconds for each in grid)) for grid in grids]

    def _settings_of(self, loss: LossObject) -> tuple[Setting, ...]:
        return tuple(dict.fromkeys(setting.read_by(loss) for setting in self.settings))


@dataclass(frozen=True)
class Evaluation:
    """The result of training with one loss.

    Attributes:
        status: ``trained``, ``non-finite`` or ``failed``.
        score: The monitored metric after training, negated where less is better; ``None`` unless the status is
            ``trained``.
        seconds: Wall time.
        error: The exception of a failed training, empty otherwise.
        weights: The trained state on the CPU; ``None`` unless it was asked for.
        components: The contribution of every user with reward rows to the score, float32 [users]; ``None`` unless that
            is an AUC or a mean over users.
        standard_error: Of the reward, over the draw of the users; ``None`` where it is unknown.
        setting: The setting of a grid that this is the result of; ``None`` where there is no grid.
        epoch: The epoch of the best validation, counted from 1; 0 where the last one is the result.
    """

    status: str
    score: float | None
    seconds: float
    error: str = ""
    weights: dict[str, Tensor] | None = None
    components: Tensor | None = None
    standard_error: float | None = None
    setting: Setting | None = None
    epoch: int = 0

    @property
    def learning_rate(self) -> float | None:
        """The learning rate of the setting."""
        return None if self.setting is None else self.setting.learning_rate

    @property
    def weight_decay(self) -> float | None:
        """The weight decay of the setting."""
        return None if self.setting is None else self.setting.weight_decay

    @property
    def temperature(self) -> float | None:
        """The temperature of the setting; ``None`` where it is not tuned."""
        return None if self.setting is None else dict(self.setting.options).get("temperature")


def _score(evaluation: Evaluation) -> float:
    return -math.inf if evaluation.score is None else evaluation.score


@dataclass(frozen=True)
class Trial:
    """A loss with the result of its last training.

    Attributes:
        key: Key of that training.
        loss: The loss.
        rung: Number of the rung of successive halving that the training was on, from 0.
        evaluation: Result of the training.
        reward: The score, less that of the baseline under the same budget; -1 without a score, which does not compare
            with other rewards.
    """

    key: TrialKey
    loss: LossObject
    rung: int
    evaluation: Evaluation
    reward: float

    @property
    def failed(self) -> bool:
        """Whether there is no score: the training raised an error, or its loss or metric was not finite."""
        return self.evaluation.score is None

    def averaged(self, again: "Trial") -> "Trial":
        """Return the trial with the means of its results and those of a training with another seed.

        Both are measured on the same rows, so that the standard error does not become smaller. A trial that fails with
        the other seed has failed.
        """
        first, second = self.evaluation, again.evaluation
        seconds = first.seconds + second.seconds
        if first.score is None or second.score is None:
            return replace(self, evaluation=replace(second, seconds=seconds), reward=again.reward)
        both = replace(first, seconds=seconds, score=(first.score + second.score) / 2)
        if first.standard_error is not None and second.standard_error is not None:
            both = replace(both, standard_error=(first.standard_error + second.standard_error) / 2)
        return replace(self, evaluation=both, reward=(self.reward + again.reward) / 2)
