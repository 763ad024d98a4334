"""Reports hold the command that was given, the machine and the date."""

import sys
from pathlib import Path

import pytest

from benchmarks.common import report

ROOT = Path(__file__).parents[3]


def test_the_command_is_reported_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(ROOT / "benchmarks" / "ladder.py")
    monkeypatch.setattr(sys, "argv", [script, "--rounds", "2", "--arms", "one budget", "1,3", "--seed=5"])
    assert report.given_command() == "python -m benchmarks.ladder --rounds 2 --arms 'one budget' 1,3 --seed=5"


def test_a_report_is_written_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "benchmarks" / "warm_up.py"), "--updates", "3"])
    assert report.RESULTS == ROOT / "benchmarks" / "results"
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    path = report.write_report("warm", title="Warm-up", parts=["One.", report.table(["a", "b"], [["1", "2"]])])
    lines = path.read_text(encoding="utf-8").split("\n\n")
    assert lines[:2] == ["# Warm-up", "`python -m benchmarks.warm_up --updates 3`"]
    assert "torch" in lines[2]
    assert lines[3:] == ["One.", "| a | b |\n| --- | --- |\n| 1 | 2 |\n"]
