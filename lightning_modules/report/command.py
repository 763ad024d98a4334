"""Writes the report of a folder: of a search, a comparison or a polish."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lightning_modules.core.run_config import CONFIG_NAME, REPORT_NAME
from lightning_modules.report.page import Page
from lightning_modules.report.run_facts import FolderSettings
from lightning_modules.report.search_page import search_page
from lightning_modules.report.settings import ReportSettings
from lightning_modules.search.ledger import LEDGER_NAME
from lightning_modules.utilities.files import replace_file

_SUMMARY_NAME = "summary.md"


def run_report(settings: ReportSettings) -> Path:
    """Write a report, say where it is, and return its path; raises like :func:`write_report`."""
    output = None if settings.output is None else Path(settings.output)
    path = write_report(Path(settings.run), output)
    sys.stdout.write(f"Report: {path}\n")
    return path


def write_report(root: Path, output: Path | None = None) -> Path:
    """Write the report of a folder as one HTML file, and return its path.

    Args:
        root: Folder of a search, a comparison or a polish.
        output: The file; by default ``report.html`` in the folder. One that is there is replaced.

    Raises:
        FileNotFoundError: If the folder is none of these, or nothing was finished in it.
        OSError: If the report cannot be written.
        ValueError: If a file there cannot be read, or the output is a folder.
    """
    path = root / REPORT_NAME if output is None else output
    if path.is_dir():
        raise ValueError(f"--output '{path}' is a folder; name a file in it, such as {path / REPORT_NAME}")
    html = page_of(root).html()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda unfinished: unfinished.write_text(html, encoding="utf-8"))
    return path


def page_of(root: Path) -> Page:
    """Return the report of a folder; raises like :func:`write_report`."""
    if (root / LEDGER_NAME).exists():
        return search_page(root)
    expected = "name the folder of a search, a comparison or a polish, which --root was"
    if not root.is_dir():
        raise FileNotFoundError(f"'{root}' is no folder, so there is nothing to report: {expected}")
    settings = FolderSettings(root)
    verb = next((verb for verb in _PAGES if settings.of(verb)), None)
    if verb is None:
        raise FileNotFoundError(
            f"'{root}' holds nothing to report: neither {LEDGER_NAME} nor the settings of a comparison or a polish in "
            f"{CONFIG_NAME} are there; {expected}"
        )
    if not (root / _SUMMARY_NAME).is_file():
        raise FileNotFoundError(
            f"'{root}' has no {_SUMMARY_NAME}, since its {verb} has not ended: give its command again, which goes on"
        )
    return _PAGES[verb](root)


def _comparison_page(root: Path) -> Page:
    from lightning_modules.report.comparison_page import comparison_page

    return comparison_page(root)


def _polish_page(root: Path) -> Page:
    # Models and agents take seconds to import.
    from lightning_modules.report.polish_page import polish_page

    return polish_page(root)


#: What writes the report of a folder, by the verb whose settings are there.
_PAGES: Mapping[str, Callable[[Path], Page]] = {"compare": _comparison_page, "polish": _polish_page}
