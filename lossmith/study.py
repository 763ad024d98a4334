"""What a search has found, for Python: tables, a picture and losses to train with."""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lightning_modules.losses import FormulaBased
from lightning_modules.report.command import write_report
from lightning_modules.search.reports.picture import search_figure
from lightning_modules.search.study import Study


@dataclass(frozen=True)
class Answer:
    """The answer of a search: the formula that beats the tuned baseline on the validation rows, if one does.

    Attributes:
        loss: Its loss, with the numerics of the search; ``None`` where nothing beats the baseline, or where no formula
            was trained to convergence.
        difference: Its validated score less the baseline's; ``None`` without a loss.
        standard_error: Of the difference; ``None`` without a loss.
        is_validated: Whether formulas were trained to convergence at all.
    """

    loss: FormulaBased | None
    difference: float | None = None
    standard_error: float | None = None
    is_validated: bool = True


class SearchStudy(Study):
    """The results in the folder of a search, finished or not; ``lossmith.Study.read(root)`` reads them.

    Examples:
        >>> import lossmith
        >>> study = lossmith.Study.read("runs/example")
        >>> study.table().head(1)[["rank", "status"]].to_dict("records")
        [{'rank': 1, 'status': 'trained'}]
        >>> study.plot().savefig("picture.svg")
        >>> study.report().name
        'report.html'
        >>> study.answer.loss is None, study.answer.is_validated
        (True, False)
    """

    @property
    def answer(self) -> Answer:
        """The answer."""
        rows = self.candidates[self.candidates["is_answer"]]
        if rows.empty:
            return Answer(None, is_validated=bool(self.candidates["validated"].notna().any()))
        row = rows.iloc[0]
        return Answer(self.loss(int(row["rank"])), float(row["validated"]), float(row["validated_se"]))

    def table(self) -> pd.DataFrame:
        """Return all losses that were trained, best first, with the columns of ``formulas.csv``."""
        return self.losses.copy()

    def plot(self, rank: int = 1) -> Figure:
        """Return the picture of the search, with the formula of a rank drawn beside the usual loss.

        Raises:
            ValueError: If the study has no such rank.
        """
        return search_figure(self, rank)

    def report(self, output: str | Path | None = None) -> Path:
        """Write the report of the search as one HTML file, and return its path.

        Args:
            output: The file; by default ``report.html`` in the study's folder.

        Raises:
            OSError: If it cannot be written.
            ValueError: If a file of the study cannot be read.
        """
        return write_report(self.root, None if output is None else Path(output))

    def _repr_png_(self) -> bytes | None:
        """Return the picture for a notebook; ``None`` if nothing was trained."""
        if not self.num_candidates:
            return None
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png", dpi=100)
        return picture.getvalue()
