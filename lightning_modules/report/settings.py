"""The options of a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportSettings:
    """Options of a report.

    Args:
        run: Folder of a search, a comparison or a polish.
        output: The file to write; by default report.html in that folder.
    """

    run: str
    output: str | None = None
