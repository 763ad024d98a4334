"""The report of a polish has its differences, as its files have them."""

from pathlib import Path

import pandas as pd
import yaml

from lightning_modules.report.command import write_report
from tests.polish.test_polish_report import report
from tests.report.html_reading import read_report
from tests.report.test_search_page import words

SETTINGS = {
    "polish": {"seeds": 2, "confidence": 0.9},
    "model": {"class_path": "lightning_modules.multitask.ESMM"},
    "data": {"class_path": "datamodules.KuaiRand"},
}


def test_differences_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    report().write(tmp_path)
    found = read_report(write_report(tmp_path).read_text(encoding="utf-8"))
    assert found.all("h1")[0].text == "Polish: ESMM on KuaiRand"
    pictures = found.section("differences").all("title")
    rows = pd.read_csv(tmp_path / "differences.csv")
    for picture, metric in zip(pictures, ("auc", "session_log_loss"), strict=True):
        shown = [f"{row.arm}, {row.task} {row.difference:+.4f}" for row in rows[rows["metric"] == metric].itertuples()]
        assert picture.text == f"Differences: {'; '.join(shown)}."
    assert "90 % intervals over 2 seeds" in words(found.section("differences"))
    assert "Set up so." in words(found.section("results"))
    assert found.section("results").table("AUC less that of 'control'")[0][:3] == ["arm", "click", "interval"]


def test_a_polish_without_differences_has_its_summary(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    report().write(tmp_path)
    report(differences={}).write(tmp_path)
    assert not (tmp_path / "differences.csv").exists()
    found = read_report(write_report(tmp_path).read_text(encoding="utf-8"))
    assert found.all("section")[0].attributes["id"] == "results"
