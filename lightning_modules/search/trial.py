"""A trial: one loss that is trained from one start under one budget. Its key, its input and its result."""

from dataclasses import dataclass

from torch import Tensor

from lightning_modules.losses import Loss


@dataclass(frozen=True)
class TrialKey:
    """The unique key of a trial in its study.

    Attributes:
        round: Round of the search, 0 before the first; for the baseline the number of times that the recommender had
            taken over a candidate's weights.
        kind: ``baseline``, ``reference`` or ``candidate``.
        position: Number within the round.
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
    def title(self) -> str:
        """The trial's name in logs."""
        duration = f" {self.epochs} epochs" if self.epochs else ""
        return f"{self.round:03d}-{self.position:03d}{duration} {self.name}"


@dataclass(frozen=True)
class Assignment:
    """What one call of an evaluator trains.

    Attributes:
        losses: The losses, each of which trains a copy of the recommender.
        names: Their names in logs.
        seed: Seed of every trial.
        epochs: The budget; ``None`` is the number of epochs in the Trainer's recipe.
        keep_weights: Whether the evaluations hold the trained weights.
    """

    losses: tuple[Loss, ...]
    names: tuple[str, ...]
    seed: int
    epochs: int | None = None
    keep_weights: bool = False


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
        components: The contribution of every reward row to the score, float32 [n]; ``None`` unless that is an AUC.
        standard_error: Of the reward, over the sampling of the reward rows; ``None`` where it is unknown.
    """

    status: str
    score: float | None
    seconds: float
    error: str = ""
    weights: dict[str, Tensor] | None = None
    components: Tensor | None = None
    standard_error: float | None = None


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
    loss: Loss
    rung: int
    evaluation: Evaluation
    reward: float

    @property
    def failed(self) -> bool:
        """Whether there is no score: the training raised an error, or its loss or metric was not finite."""
        return self.evaluation.score is None
