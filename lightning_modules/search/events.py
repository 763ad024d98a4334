"""The events of a search, and its observers: the ledger, TensorBoard, the progress display and other reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_modules.losses import Formula
from lightning_modules.search.answer import FinalistRun, Validation
from lightning_modules.search.screening import Screened
from lightning_modules.search.space import Programs
from lightning_modules.search.trial import Trial
from lightning_modules.training.tuning import Setting


@dataclass(frozen=True)
class Candidate:
    """One trained loss.

    Attributes:
        round: Round of the search; 0 for hand-made losses.
        kind: ``candidate``, or ``reference`` for a hand-made loss.
        formula: The formula as it was trained, or the name of a hand-made loss.
        simplified: The formula simplified under real arithmetic; empty for a hand-made loss.
        status: ``trained``, ``non-finite`` or ``failed``.
        reward: The score, less that of the baseline under the same budget; without a score -1, or less than all
            rewards until then.
        metric: The score: the monitored metric after training, negated where less is better; ``None`` if the training
            failed.
        right_share: Share of right gradient signs on the screening probe; ``None`` for a hand-made loss.
        signature: Number of the gradient signature; ``None`` for a hand-made loss.
        seconds: Wall time of the training.
        error: The exception of a failed training; empty otherwise.
        position: Number within the round, from 1.
        epochs: The budget; 0 is the number of epochs in the Trainer's recipe.
        standard_error: Of the reward, over the sampling of the reward rows; ``None`` where it is unknown.
        operators: Number of operators of the formula (:attr:`Formula.num_operators`); ``None`` for a hand-made loss.
        learning_rate: That of the best setting of a grid; ``None`` where there is no grid.
        weight_decay: That of the best setting of a grid; ``None`` where there is no grid.
        best_epoch: The epoch of the best validation, counted from 1; 0 where the last one counts.
        temperature: That of the best setting of a grid; ``None`` where it is not tuned.
    """

    round: int
    kind: str
    formula: str
    simplified: str
    status: str
    reward: float
    metric: float | None
    right_share: float | None
    signature: int | None
    seconds: float
    error: str = ""
    position: int = 1
    epochs: int = 0
    standard_error: float | None = None
    operators: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    best_epoch: int = 0
    temperature: float | None = None

    @classmethod
    def of_trial(cls, trial: Trial, reward: float) -> "Candidate":
        """Return the candidate of a trial, without the fields that screening fills in."""
        key, evaluation = trial.key, trial.evaluation
        return cls(
            round=key.round,
            kind=key.kind,
            formula=key.name,
            simplified="",
            status=evaluation.status,
            reward=reward,
            metric=evaluation.score,
            right_share=None,
            signature=None,
            seconds=evaluation.seconds,
            error=evaluation.error,
            position=key.position,
            epochs=key.epochs,
            standard_error=evaluation.standard_error,
            learning_rate=evaluation.learning_rate,
            weight_decay=evaluation.weight_decay,
            best_epoch=evaluation.epoch,
            temperature=evaluation.temperature,
        )


@dataclass(frozen=True)
class SearchProgress:
    """The progress of a study that is continued.

    Attributes:
        warm_up: Finished updates of the strategy on screening alone.
        rounds: Finished rounds.
        candidates: The candidates of those rounds, and the reference losses.
    """

    warm_up: int
    rounds: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class RoundSummary:
    """A finished round.

    Attributes:
        round: Its number, from 1.
        programs: All programs sampled in the round.
        screened: Their screening results.
        rewards: Rewards of the candidates trained in the round.
        top: The best formulas of the study so far with their rewards, best first.
        figures: Figures that the strategy reports on its update.
        accepted: Whether the recommender took over the weights of the round's best candidate; ``None`` if it never
            does.
    """

    round: int
    programs: Programs
    screened: Screened
    rewards: tuple[float, ...]
    top: tuple[tuple[Formula, float], ...]
    figures: Mapping[str, float]
    accepted: bool | None


class SearchObserver:
    """Base of all observers of a search; each event does nothing unless overridden."""

    def on_resume(self, progress: SearchProgress) -> None:
        """Called before all other events if the search continues a study."""

    def on_setting(self, setting: Setting, score: float | None) -> None:
        """Called with every setting that the tuning of the baseline has tried; its score is None if it failed."""

    def on_baseline(self) -> None:
        """Called as soon as the baseline is tuned and trained, before other losses."""

    def on_warm_up(self, update: int, figures: Mapping[str, float]) -> None:
        """Called after every update of the strategy on screening alone, numbered from 1."""

    def on_candidate(self, candidate: Candidate) -> None:
        """Called as soon as a candidate or a reference loss is known."""

    def on_round(self, summary: RoundSummary) -> None:
        """Called at the end of every round."""

    def on_finalist(self, runs: Sequence[FinalistRun]) -> None:
        """Called as soon as the trainings of a finalist or of the baseline beside them are known."""

    def on_validation(self, validation: Validation) -> None:
        """Called when all finalists are known, with the answer."""

    def on_end(self) -> None:
        """Called exactly once, however the search ended."""


class SearchObservers(SearchObserver):
    """Passes every event to several observers, in their order.

    An observer that raises an error ends the search, which then calls every observer's ``on_end`` all the same.

    Args:
        observers: The observers.
    """

    def __init__(self, observers: Sequence[SearchObserver] = ()) -> None:
        self.observers = observers

    def on_resume(self, progress: SearchProgress) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_resume(progress)

    def on_setting(self, setting: Setting, score: float | None) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_setting(setting, score)

    def on_baseline(self) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_baseline()

    def on_warm_up(self, update: int, figures: Mapping[str, float]) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_warm_up(update, figures)

    def on_candidate(self, candidate: Candidate) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_candidate(candidate)

    def on_round(self, summary: RoundSummary) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_round(summary)

    def on_finalist(self, runs: Sequence[FinalistRun]) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_finalist(runs)

    def on_validation(self, validation: Validation) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_validation(validation)

    def on_end(self) -> None:
        """Pass the event on to every observer, then raise the first error of one, if there was any."""
        errors: list[BaseException] = []
        for observer in self.observers:
            try:
                observer.on_end()
            except BaseException as error:  # an interrupt, too, must not keep the others from their end
                errors.append(error)
        if errors:
            raise errors[0]
