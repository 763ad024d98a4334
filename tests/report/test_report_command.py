"""What cannot be reported is refused with what to do."""

from pathlib import Path

import pytest

from lightning_modules.report.command import run_report, write_report
from lightning_modules.report.settings import ReportSettings
from tests.report.test_search_page import study_in


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds nothing to report: neither ledger.sqlite nor the settings of a comparison or a polish"),
        ({"config.yaml": "fit: {}"}, "holds nothing to report"),
        (
            {"config.yaml": "compare: {seeds: 2}"},
            "has no summary.md, since its compare has not ended: give its command",
        ),
        ({"config.yaml": "polish: {seeds: 2}"}, "since its polish has not ended"),
    ],
)
def test_folders_without_anything_finished(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(FileNotFoundError) as caught:
        write_report(tmp_path)
    assert said in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_file_or_nothing_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "nothing"):
        with pytest.raises(FileNotFoundError, match="is no folder, so there is nothing to report: name the folder of"):
            write_report(tmp_path / name)


def test_another_file_may_be_named_and_a_folder_may_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, output = study_in(tmp_path / "study"), tmp_path / "sent" / "found.html"
    assert run_report(ReportSettings(str(root), str(output))) == output
    assert capsys.readouterr().out == f"Report: {output}\n"
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>\n")
    assert not (root / "report.html").exists()
    with pytest.raises(ValueError, match="is a folder; name a file in it, such as"):
        run_report(ReportSettings(str(root), str(tmp_path)))
