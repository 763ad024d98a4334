"""What a search tells those who watch it: the ledger, TensorBoard, the progress display."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_modules.losses import Formula
from lightning_modules.search.screening import Screened
from lightning_modules.search.space import Programs


@dataclass(frozen=True)
class Candidate:
    """One trained loss.

    Attributes:
        round: Round of the search; 0 holds the hand-made losses.
        kind: ``candidate``, or ``reference`` for a hand-made loss.
        formula: The formula as it was trained, or the name of a hand-made loss.
        simplified: The same formula under real arithmetic; empty for a hand-made loss.
        status: ``trained``, ``non-finite`` or ``failed``.
        reward: Its metric, less that of the baseline under the same budget; where there is none, -1 or less than all
            that were trained before have.
        metric: The monitored metric after training, negated where less is better; ``None`` where there is none.
        right_share: Share of right gradient signs on the screening probe; ``None`` for a hand-made loss.
        signature: Number of the gradient signature; ``None`` for a hand-made loss.
        seconds: Wall time of the child.
        error: What went wrong; empty if nothing did.
        position: Number within the round, from 1.
        epochs: How long it was trained; 0 as long as the Trainer's recipe says.
        standard_error: Of the reward over the draw of the rows that it is measured on; ``None`` where it is not known.
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


@dataclass(frozen=True)
class SearchProgress:
    """How far a study that is continued has come.

    Attributes:
        warm_up: Updates of the strategy on screening alone.
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
        programs: Everything drawn in the round.
        screened: What screening said of it.
        rewards: Rewards of the candidates trained in the round.
        top: The best formulas of the study so far with their rewards, best first.
        figures: What the strategy reports of its update.
        accepted: Whether the recommender moved on with the round's best formula; ``None`` if it never does.
    """

    round: int
    programs: Programs
    screened: Screened
    rewards: tuple[float, ...]
    top: tuple[tuple[Formula, float], ...]
    figures: Mapping[str, float]
    accepted: bool | None


class SearchObserver:
    """Base of everything that watches a search; each event does nothing unless overridden."""

    def on_resume(self, standing: SearchProgress) -> None:
        """Called before anything else if the search continues a study."""

    def on_warm_up(self, update: int, figures: Mapping[str, float]) -> None:
        """Called after every update of the strategy on screening alone, numbered from 1."""

    def on_candidate(self, candidate: Candidate) -> None:
        """Called as soon as a candidate or a reference loss is known."""

    def on_round(self, summary: RoundSummary) -> None:
        """Called at the end of every round."""

    def on_end(self) -> None:
        """Called once, however the search ended."""
