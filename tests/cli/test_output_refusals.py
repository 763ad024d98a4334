"""Outputs whose folder cannot be made are refused by their option, before anything is read or trained."""

from pathlib import Path
from typing import Any

import pytest

from lightning_modules.cli import plain_verbs
from lightning_modules.cli.lossmith_cli import CLI
from lightning_modules.cli.main import main
from lightning_modules.cli.output_refusals import refuse_unwritable
from tests.cli.cli_helpers import DATA, MODEL

GIVEN = [*MODEL, *DATA]


@pytest.fixture(autouse=True)
def _workless(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*arguments: Any, **options: Any) -> None:
        raise AssertionError("something was built before the folder was looked at")

    monkeypatch.setattr(CLI, "instantiate_classes", work)
    monkeypatch.setattr(plain_verbs, "full_disk_explained", work)
    Path("taken").write_text("")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["search", *GIVEN, "--root"], "search.root"),
        (["compare", *GIVEN, "--root"], "compare.root"),
        (["polish", *GIVEN, "--root"], "polish.root"),
        (["fit", *GIVEN, "--trainer.default_root_dir"], "trainer.default_root_dir"),
        (["fit", *GIVEN, "--trainer.logger=CSVLogger", "--trainer.logger.save_dir"], "trainer.logger.save_dir"),
        (["check", "--losses=BCE", "--root"], "root"),
    ],
)
@pytest.mark.parametrize("folder", ["taken", "taken/new"])
def test_a_folder_that_is_a_file_or_below_one(
    arguments: list[str], option: str, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, folder]) == 1
    said = f"error: --{option}: '{tmp_path / 'taken'}' is a file, so that nothing can be written below it"
    assert said in capsys.readouterr().err


def test_a_file_to_write_below_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    assert main(["report", "run", "--output=taken/report.html"]) == 1
    assert f"--output: '{tmp_path / 'taken'}' is a file" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the system has no folder in which nobody can write")
def test_a_folder_that_cannot_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", *GIVEN, "--root=/proc/x/y"]) == 1
    said = capsys.readouterr().err
    assert "error: --search.root: '/proc' cannot be written to (" in said
    assert "so that '/proc/x/y' cannot be made there; name another folder" in said


def test_folders_that_can_be_made_are_left_as_they_were(tmp_path: Path) -> None:
    trainer = {"default_root_dir": "s3://bucket/runs", "logger": {"init_args": {"save_dir": str(tmp_path / "a" / "b")}}}
    before = sorted(tmp_path.rglob("*"))
    refuse_unwritable({"search": {"root": "new"}, "predict": {"output": "p.csv"}, "trainer": trainer, "root": None})
    refuse_unwritable({"trainer": {"logger": [True], "default_root_dir": tmp_path}, "output": "more/page.html"})
    assert sorted(tmp_path.rglob("*")) == before
