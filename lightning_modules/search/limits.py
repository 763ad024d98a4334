"""When a search ends: after its rounds, its time, or rounds that found nothing better; whichever comes first."""

import time
from dataclasses import dataclass

from lightning_modules.utilities.durations import duration_words


@dataclass(frozen=True)
class SearchLimits:
    """The length of a search and of its reports.

    Attributes:
        rounds: Number of rounds.
        warmup_updates: Updates of the strategy on screening alone, before the first round.
        most_failures: The number of failed candidates in a row that ends the search.
        top: Number of best formulas to report after every round.
        validate_every: Rounds after which finalists are trained; 0 trains them at the end alone.
        time_budget: Seconds after which no further round begins; ``None`` sets no limit.
        patience: Rounds without a better formula that end the search; ``None`` sets no limit.
    """

    rounds: int
    warmup_updates: int = 0
    most_failures: int = 5
    top: int = 10
    validate_every: int = 0
    time_budget: float | None = None
    patience: int | None = None

    def ending(self, rounds: int, best_round: int, seconds: float) -> str:
        """Return why no further round begins; empty if one does, as the first always does.

        Args:
            rounds: Finished rounds.
            best_round: The round that found the best formula; 0 if there is none.
            seconds: The time that the search has taken.
        """
        after = f"after round {rounds} of {self.rounds}"
        if rounds >= self.rounds:
            return "all rounds are done"
        if rounds and self.patience is not None and rounds - best_round >= self.patience:
            return (
                f"The search ended {after}, since none of the last {self.patience} had a better formula. With a larger "
                "--search.patience the same command continues it"
            )
        if rounds and self.time_budget is not None and seconds >= self.time_budget:
            return (
                f"The search ended {after}, when its time of {duration_words(self.time_budget)} was over. With a "
                "larger --search.time_budget the same command continues it"
            )
        return ""


class SearchClock:
    """The time that a search has taken so far, that of earlier processes included.

    Args:
        before: Seconds that earlier processes took.
    """

    def __init__(self, before: float = 0.0) -> None:
        self._before = before
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + time.monotonic() - self._begin
