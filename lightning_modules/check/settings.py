"""The options of a validation check."""

from dataclasses import dataclass, field
from pathlib import Path

from lightning_modules.losses import LossObject, Numerics

_DEFAULT_ROOT = "runs/check"
# AutoLossGen keeps a formula with more than 1,200 right signs of 2,000.
_LEAST_RIGHT_SHARE = 0.6


@dataclass(frozen=True)
class CheckSettings:
    """Options of a validation check.

    Args:
        run: Folder of a search; all its formulas are checked, best first.
        formulas: Formulas to check, or RUN#RANK for the formula of that rank in a search, or RUN#front:4 for its best
            one with at most four operators, or RUN#answer.
        file: A file of formulas: formulas.csv of a study, a CSV or TSV file with a column formula, or one a line.
        losses: Hand-made losses to check.
        root: Folder for check.csv and the figures; by default that of the search, or else runs/check.
        numerics: Protection of the formulas: protected, autolossgen, or eps, low and high; by default that of the
            search, or else protected.
        points: Predictions at which gradient signs are counted, each of which meets label 0 and label 1; or rows of
            scores, in which the signs of the positive and of its negatives count.
        threshold: A loss is kept if more than this many of the 2 x points signs are right; by default 60 % of them.
        top: Check only this many of the best formulas of the search.
        figures: Most kept losses to draw for TensorBoard; by default all, a search's 600 in half a minute.
    """

    run: str | None = None
    formulas: list[str] = field(default_factory=list)
    file: str | None = None
    losses: list[LossObject] | None = None
    root: str | None = None
    numerics: Numerics | str | None = None
    points: int = 1000
    threshold: int | None = None
    top: int | None = None
    figures: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that leave nothing to check or are out of range.

        Raises:
            ValueError: If there is nothing to check or a number is out of its range.
        """
        if not (self.run or self.formulas or self.file or self.losses):
            raise ValueError(
                "there is nothing to check: name the folder of a search, --formulas, a --file of formulas or --losses"
            )
        if self.points < 1:
            raise ValueError(f"--points is {self.points}, but a check needs at least 1")
        signs = 2 * self.points
        if self.threshold is not None and not 0 <= self.threshold < signs:
            raise ValueError(
                f"--threshold is {self.threshold}, but {signs} signs are counted: name one in [0, {signs})"
            )
        if self.top is not None and (self.top < 1 or not self.run):
            raise ValueError(f"--top is {self.top}, but needs a search to take from and at least 1")
        if self.figures is not None and self.figures < 0:
            raise ValueError(f"--figures is {self.figures}, but cannot be negative")

    @property
    def least_right_signs(self) -> int:
        """A loss is kept if it has more right signs than this."""
        return round(_LEAST_RIGHT_SHARE * 2 * self.points) if self.threshold is None else self.threshold

    @property
    def folder(self) -> Path:
        """The folder of check.csv."""
        return Path(self.root or self.run or _DEFAULT_ROOT)
