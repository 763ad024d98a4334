"""Commands are those of the program that runs."""

import shlex
import sys
from pathlib import Path

import pytest

from lightning_modules.utilities.program import command, free_folder


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("train.py", ["python", "train.py"]),
        ("../a folder/train.py", ["python", "../a folder/train.py"]),
        ("/opt/bin/lossmith", ["lossmith"]),
        ("C:/bin/lossmith.exe", ["lossmith"]),
        ("ipykernel_launcher.py", ["lossmith"]),
        ("", ["lossmith"]),
    ],
)
def test_the_program_is_named_as_it_was_called(
    called: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [called])
    assert shlex.split(command("compare", "--study", Path("a run"), "--top", 3)) == [
        *expected,
        *("compare", "--study", "a run", "--top", "3"),
    ]


def test_another_program_in_a_checkout_is_told_of_that_of_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").touch()
    monkeypatch.setattr(sys, "argv", ["notebook.py"])
    assert command("check", "run") == "python train.py check run"


def test_a_folder_that_is_there_is_never_named(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        names.append(free_folder(str(tmp_path / "run")))
        Path(names[-1]).mkdir()
    assert names == [str(tmp_path / name) for name in ("run", "run_2", "run_3")]
