"""What a comparison compares: losses, each with the group that it comes from, and searches with their formulas."""

from dataclasses import dataclass

from lightning_modules.losses import LossObject

#: The groups of losses.
GROUPS = SEARCH, RANDOM, HAND_MADE, GIVEN = "search", "random search", "hand-made", "given"


@dataclass(frozen=True)
class ComparedLoss:
    """One loss of a comparison.

    Attributes:
        loss: The loss.
        label: A short name for tables and pictures.
        group: ``hand-made``, ``given``, ``search`` or ``random search``.
    """

    loss: LossObject
    label: str
    group: str

    @property
    def title(self) -> str:
        """The text that identifies the loss in the files of the comparison."""
        return self.loss.identity


@dataclass(frozen=True)
class SearchedLosses:
    """One search, with the formulas that may stand for it.

    Attributes:
        name: Its name in tables.
        arm: The group of its formulas.
        losses: The formulas, of which validation chooses; empty if it found nothing, so that its user keeps the
            baseline.
        trained_candidates: Its trained candidates, those that do not count included.
        finalists: Number of its formulas that were trained to convergence.
        found_nothing: Whether its answer is that nothing beats the baseline.
    """

    name: str
    arm: str
    losses: tuple[ComparedLoss, ...]
    trained_candidates: int = 0
    finalists: int = 0
    found_nothing: bool = False


@dataclass(frozen=True)
class ComparedLosses:
    """All losses of a comparison, the baseline first.

    Attributes:
        all: The losses, each once.
        remarks: What a reader must know of how they were chosen.
        trained_candidates: Trained candidates of each study that count; 0 without a study.
        searches: The searches that are audited.
    """

    all: tuple[ComparedLoss, ...]
    remarks: tuple[str, ...]
    trained_candidates: int = 0
    searches: tuple[SearchedLosses, ...] = ()

    @property
    def baseline(self) -> ComparedLoss:
        """The loss that all others are compared with."""
        return self.all[0]

    @property
    def has_repeated_searches(self) -> bool:
        """Whether an arm has several searches."""
        return len(self.searches) > len({each.arm for each in self.searches})

    def of(self, group: str) -> tuple[ComparedLoss, ...]:
        """Return the losses of one group."""
        return tuple(compared for compared in self.all if compared.group == group)
