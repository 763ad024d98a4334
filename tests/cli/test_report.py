"""Reports through the command line: left by verbs when they end, and written again."""

from pathlib import Path

import pytest

from lightning_modules.cli.main import main
from lightning_modules.report.after_runs import ReportFile
from lightning_modules.search.study import Study
from tests.report.html_reading import read_report


@pytest.mark.draws
def test_a_search_leaves_a_report_and_says_where(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (study / "report.html").is_file()
    ReportFile(study).on_end()
    left = (study / "report.html").read_text(encoding="utf-8")
    found = read_report(left).table("The front: the best formula with at most so many operators")
    assert [row[1] for row in found[1:]] == [str(rank) for rank in Study.read(study).front["rank"]]
    assert main(["report", str(study), "--output=again.html"]) == 0
    assert capsys.readouterr().out == "Report: again.html\n"
    # The next commands are those of the program that runs.
    again = Path("again.html").read_text(encoding="utf-8")
    assert again.replace("python train.py", "lossmith") == left.replace("python train.py", "lossmith")


def test_a_folder_that_is_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: '{tmp_path}' holds nothing to report: neither ledger.sqlite nor the settings of")
    assert "name the folder of a search, a comparison or a polish" in error
