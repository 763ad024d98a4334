"""Where children stand in their study."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrialKey:
    """Where a child stands in its study.

    Attributes:
        round: Round of the search, 0 before the first; for the baseline how often the recommender had moved on.
        kind: ``baseline``, ``reference`` or ``candidate``.
        position: Number within the round.
        epochs: How long it was trained; 0 as long as the Trainer's recipe says.
        name: Its formula, or the name of a hand-made loss.
    """

    round: int
    kind: str
    position: int
    epochs: int
    name: str

    @property
    def may_be_best(self) -> bool:
        """Whether the recommender may move on with the child, whose weights are then to be kept."""
        return self.kind == "candidate"

    @property
    def is_baseline(self) -> bool:
        """Whether others are measured against the child, on the same rows."""
        return self.kind == "baseline"

    @property
    def title(self) -> str:
        """What logs call it."""
        duration = f" {self.epochs} epochs" if self.epochs else ""
        return f"{self.round:03d}-{self.position:03d}{duration} {self.name}"
