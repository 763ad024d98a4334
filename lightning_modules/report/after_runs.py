"""Reports that verbs leave in their folders when they end."""

import sys
from pathlib import Path

from lightning_modules.core.run_config import REPORT_NAME
from lightning_modules.search.events import SearchObserver
from lightning_modules.search.ledger import LEDGER_NAME
from lightning_modules.utilities.processes import is_first


class ReportFile(SearchObserver):
    """Writes the report of a search when it ends, successful or not.

    Args:
        root: The study's folder, whose ledger has to be an earlier observer.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def on_end(self) -> None:
        """Write the report."""
        # A ledger without any trained loss is removed.
        if (self.root / LEDGER_NAME).exists():
            _write(self.root)


def leave_report(root: Path) -> None:
    """Write the report of a comparison or a polish that has ended, and say where it is."""
    if is_first():
        _write(root)
        tell_report(root)


def tell_report(root: Path) -> None:
    """Say where the report of a folder is, if it has one."""
    path = root / REPORT_NAME
    if is_first() and path.is_file():
        sys.stdout.write(f"Report: {path}\n")


def _write(root: Path) -> None:
    # Imported when a verb ends: whatever it takes is not needed before.
    from lightning_modules.report.command import write_report

    write_report(root)
