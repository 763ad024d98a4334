"""The report of a comparison has its figures, as its files have them."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lightning_modules.cli.main import main
from lightning_modules.cli.verbs import VERBS
from lightning_modules.compare.audit import Audit, AuditResult
from lightning_modules.compare.compared_losses import GIVEN, HAND_MADE, SEARCH, ComparedLoss
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.losses import (
    MSE,
    PSL,
    Focal,
    FormulaLoss,
    LossObject,
    Numerics,
    RankingFormulaLoss,
    SampledSoftmax,
)
from lightning_modules.report.command import write_report
from lightning_modules.report.compared_losses import loss_in
from lightning_modules.statistics.significance import Difference, resolvable_difference
from lightning_modules.training.statuses import DIVERGED, TRAINED
from lightning_modules.training.tuning import Setting
from tests.compare.compare_helpers import NAN, UNKNOWN, compared, loss_result, runs_of
from tests.report.html_reading import Node, read_report
from tests.report.test_search_page import words

FOUND = Difference(0.0123, 0.001, 0.0236, 0.006, 0.021)
HOSTILE_LABEL = "<script>alert(1)</script> & `a` | b"
ALL = [
    loss_result(compared("BCE")),
    loss_result(compared("(label - pred)**2", "PPO #1", SEARCH), difference=FOUND, p_value=0.042),
    loss_result(
        compared("pred**2 + label**2", HOSTILE_LABEL, GIVEN),
        difference=Difference(-0.001, -0.004, 0.002, 0.002, 0.5),
        p_value=0.9,
    ),
    loss_result(
        compared("log(pred)", "log(pred)", GIVEN), runs_of([0.7, NAN], [TRAINED, DIVERGED]), standard_error=NAN
    ),
]
SETTINGS = {
    "seed_everything": 42,
    "compare": {"monitor": "val/auc", "confidence": 0.95, "seeds": 2, "numerics": "autolossgen"},
    "model": {"class_path": "lightning_modules.recommenders.BiasedMF"},
    "data": {"class_path": "datamodules.SyntheticInteractions"},
}


@pytest.fixture
def report(tmp_path: Path) -> Node:
    audit = Audit(ALL[1], (AuditResult("BCE", FOUND, 0.042, 0.05),), 3, 40)
    ComparisonReport(ALL, audit, ["mind <b>the gap"], "BiasedMF on data").write(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    return read_report(write_report(tmp_path).read_text(encoding="utf-8"))


def test_intervals_are_those_of_the_files(report: Node, tmp_path: Path) -> None:
    table = report.table("Losses beside BCE, on the test rows")
    for cells, (_, row) in zip(table[1:], pd.read_csv(tmp_path / "summary.csv").iterrows(), strict=True):
        assert cells[0] == row["label"]
        assert cells[1] == str(row["seeds"])
        if pd.isna(row["low"]):
            assert cells[3:] == ["-"] * 4
        else:
            assert cells[3:6] == [
                f"{row['difference']:+.4f}",
                f"{row['low']:+.4f} to {row['high']:+.4f}",
                f"{row['p_holm']:.2g}",
            ]
    assert [cells[6] for cells in table[1:]] == ["-", "yes", "not told apart", "-"]


def test_the_lead_says_what_is_better_and_the_resolution_is_that_of_the_median_interval(report: Node) -> None:
    lead = words(report.all("header")[0])
    assert "On the test rows, better than BCE in AUC: PPO #1 (+0.0123)." in lead
    assert f"not told apart from BCE in AUC: {HOSTILE_LABEL} (-0.0010)." in lead
    resolved = resolvable_difference(FOUND.half_width, level=0.05)
    assert f"resolve a true difference of about {resolved:.4f}" in words(report.section("differences"))
    assert "95 % intervals over 2 seeds" in words(report.section("differences"))


def test_all_of_the_summary_is_there_as_text(report: Node) -> None:
    summary = report.section("all-results-and-how-they-were-measured")
    assert "On held-out data the search beat BCE" in words(summary)
    assert summary.all("li")[0].text == "mind <b>the gap"
    labels = [cells[0] for cells in summary.table("As a table")]
    assert labels == ["loss", "BCE", "PPO #1", HOSTILE_LABEL, "log(pred)"]


def test_formulas_have_cards_and_properties_beside_the_baseline(report: Node) -> None:
    assert [each.text for each in report.section("losses").all("h3")] == ["PPO #1", HOSTILE_LABEL, "log(pred)"]
    names = [row[0] for row in report.table("Properties, found without training")[1:]]
    assert names == ["PPO #1", HOSTILE_LABEL, "log(pred)", "BCE"]


def shown_commands(report: Node) -> list[str]:
    return [each.text for each in report.section("how-to-go-on").all("pre")]


@pytest.fixture
def of_scores(tmp_path: Path) -> Path:
    """The folder of a comparison of losses whose titles alone do not tell what was trained."""
    kept, tuned = Setting(0.01, 0.0), Setting(0.01, 0.0, (("temperature", 0.3),))
    formula = "softplus(gap_t)"
    compared_losses = [
        (SampledSoftmax(), "SampledSoftmax", HAND_MADE, UNKNOWN, kept),
        (RankingFormulaLoss(formula, "autolossgen", 0.2), "PPO #1", SEARCH, FOUND, kept),
        (RankingFormulaLoss(formula), formula, GIVEN, UNKNOWN, kept),
        (RankingFormulaLoss(formula, temperature=0.5), formula, GIVEN, UNKNOWN, kept),
        (PSL(), "PSL", HAND_MADE, UNKNOWN, tuned),
    ]
    results = [
        loss_result(ComparedLoss(loss, label, group), difference=difference, setting=setting)
        for loss, label, group, difference, setting in compared_losses
    ]
    ComparisonReport(results, None, [], "MF on data").write(tmp_path)
    sections = {"model": {"class_path": "MF"}, "data": {"class_path": "SyntheticFeedback"}}
    settings = {**SETTINGS, **sections, "compare": {"monitor": "val/ndcg@10", "seeds": 2}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def test_all_that_was_trained_has_a_card_whatever_it_was_computed_with(of_scores: Path) -> None:
    report = read_report(write_report(of_scores).read_text(encoding="utf-8"))
    names = ["PPO #1", "softplus(gap_t)", "softplus(gap_t) (2)", "PSL"]
    cards = report.section("losses").all("article")
    assert [card.all("h3")[0].text for card in cards] == names
    assert [row[0] for row in report.table("Properties, found without training")[1:]] == [*names, "SampledSoftmax"]
    first, second, third, psl = map(words, cards)
    assert "Computed with Numerics(eps=1e-06, low=1e-05, high=100000.0) at temperature 0.2." in first
    assert "Computed at temperature 0.1." in second
    assert "Computed at temperature 0.5." in third
    assert "PSL(temperature=0.3)" in psl
    symbols = words(report.section("losses").all("details")[-1])
    assert "With Numerics(eps=1e-06, low=1e-05, high=100000.0):" in symbols
    assert "With Numerics(eps=1e-06, low=-100000.0, high=100000.0):" in symbols


def test_every_command_is_understood_and_names_what_was_trained(
    of_scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = shown_commands(read_report(write_report(of_scores).read_text(encoding="utf-8")))
    (of_scores / "own.yaml").write_text("model: MF\ndata: SyntheticFeedback\n")
    found = {}
    for line in commands:
        program, *arguments = shlex.split(line)
        if program != "tensorboard":
            verb = next(place for place, each in enumerate(arguments) if each in VERBS)
            given = [str(of_scores / "own.yaml") if each == "FILE" else each for each in arguments[verb:]]
            assert main([*given, "--print_config"]) == 0
            found[given[0]] = yaml.safe_load(capsys.readouterr().out)
    assert found["compare"]["compare"]["seeds"] == 4
    loss = LossObject.from_spec(found["fit"]["model"]["init_args"]["loss"])
    assert loss.spec() == RankingFormulaLoss("softplus(gap_t)", "autolossgen", 0.2).spec()


def test_a_table_of_an_earlier_version_is_read(of_scores: Path) -> None:
    summary = of_scores / "summary.csv"
    table = pd.read_csv(summary)
    assert [json.loads(each)["class_path"].rpartition(".")[2] for each in table["spec"]] == [
        "SampledSoftmax",
        *["RankingFormulaLoss"] * 3,
        "PSL",
    ]
    table.drop(columns="spec").to_csv(summary, index=False)
    found = read_report(write_report(of_scores).read_text(encoding="utf-8"))
    assert [each.text for each in found.section("losses").all("h3")] == ["PSL"]
    assert not any("fit" in line for line in shown_commands(found))


def test_several_searches_have_a_picture_of_what_they_found(report: Node, tmp_path: Path) -> None:
    assert not report.all("svg")[0].text.startswith("Differences: mean")
    searches = pd.DataFrame(
        {
            "search": ["PPO_1", "PPO_2", "mean"],
            "group": ["search"] * 3,
            "searches": [1, 1, 2],
            "loss": ["(label - pred)**2", "BCE", None],
            "difference": [0.01, 0.0, 0.005],
            "low": [0.004, 0.0, -0.001],
            "high": [0.016, 0.0, 0.011],
        }
    )
    searches.to_csv(tmp_path / "searches.csv", index=False)
    found = read_report(write_report(tmp_path).read_text(encoding="utf-8")).section("searches")
    assert found.all("title")[0].text == (
        "Differences: PPO_1: (label - pred)**2 +0.0100, +0.0040 to +0.0160; PPO_2: BCE +0.0000, +0.0000 to +0.0000; "
        "mean of 2, search +0.0050, -0.0010 to +0.0110."
    )


def test_losses_are_read_from_names_and_formulas_alone() -> None:
    numerics = Numerics()
    found = loss_in("(label - pred)**2", numerics, 1.0)
    assert isinstance(found, FormulaLoss)
    assert isinstance(loss_in("MSE", numerics, 1.0), MSE)
    assert isinstance(loss_in("Focal", numerics, 1.0), Focal)
    for text in ("Loss", "Formula", "os.system", "__all__", "LabelSmoothing(0.1)", "", "InversePropensity"):
        assert loss_in(text, numerics, 1.0) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "No columns to parse"),
        ("loss,label\nBCE,BCE\n", "it has no column group"),
        ("\x00", "summary.csv' cannot be read"),
    ],
)
def test_a_damaged_table_is_named(report: Node, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "summary.csv").write_text(content)
    with pytest.raises(ValueError, match=r"summary\.csv' cannot be read") as caught:
        write_report(tmp_path)
    assert said in str(caught.value)
