import json
import math
from typing import Any

import pytest

from lightning_modules.compare.compared_losses import GIVEN, SEARCH, ComparedLoss
from lightning_modules.compare.tables import cells, header, screen_cells, screen_header
from lightning_modules.compare.tables import numbers as as_numbers
from lightning_modules.losses import MSE, Focal, FormulaLoss
from lightning_modules.statistics.significance import Difference
from lightning_modules.training.statuses import DIVERGED, TRAINED
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.markdown import literal, markdown, short
from tests.compare.compare_helpers import NAN, compared, loss_result, runs_of, table_rows

SQUARE = compared("(label - pred)**2", "PPO #1", SEARCH)
KNOWN = Difference(0.0123, 0.001, 0.0236, 0.006, 0.021)
FULL = loss_result(SQUARE, runs_of([0.70, 0.74]), difference=KNOWN, p_value=0.042, setting=Setting(0.001, 1e-5))
BROKEN = loss_result(SQUARE, runs_of([0.7, NAN], [TRAINED, DIVERGED]), standard_error=NAN)


def test_a_row_has_the_figures_of_its_loss() -> None:
    assert cells([FULL])[0] == [
        "PPO #1",
        "0.7200 ± 0.0283 (0.0200)",
        "0.7200 ± 0.0283 (0.0100)",
        "0.7200 ± 0.0283",
        "+0.0123",
        "+0.0010 to +0.0236",
        "0.042",
        "0.001",
        "1e-05",
    ]
    assert len(header([FULL])) == 9


def test_one_seed_has_no_spread() -> None:
    assert cells([loss_result(SQUARE, runs_of([0.7]))])[0][1] == "0.7000 (0.0200)"


def test_a_broken_loss_shows_its_outcome_and_no_figures() -> None:
    assert cells([BROKEN])[0][1:7] == ["diverged", "-", "-", "-", "-", "-"]


def test_a_log_loss_that_means_nothing_is_not_shown() -> None:
    assert cells([loss_result(SQUARE, proper=False)])[0][3] == "-"


def test_an_estimate_without_an_interval_is_shown() -> None:
    alone = loss_result(SQUARE, difference=Difference(-0.01, NAN, NAN, NAN, NAN))
    assert cells([alone])[0][4:7] == ["-0.0100", "-", "-"]


@pytest.mark.parametrize("each", [FULL, BROKEN], ids=["full", "broken"])
def test_a_terminal_has_a_cell_for_every_column(each: object) -> None:
    assert len(screen_cells([each])[0]) == len(screen_header(FULL.criterion))  # type: ignore[arg-type]


def test_a_terminal_has_the_same_figures_and_the_whole_name() -> None:
    long = loss_result(compared("pred", " + ".join(["pred"] * 40), SEARCH), runs_of([0.70, 0.74]), difference=KNOWN)
    (row,), (same,) = screen_cells([long]), cells([long])
    shown = dict(zip(screen_header(long.criterion), row, strict=True))
    assert f"{shown['test AUC']} {shown['± sd (se)']}" == same[2]
    assert [shown[name] for name in ("difference", "interval", "p (Holm)")] == same[4:7]
    assert row[-1] == long.loss.label


def test_a_terminal_shows_how_a_training_ended() -> None:
    assert screen_cells([BROKEN])[0][:3] == ["diverged", "-", "-"]


@pytest.mark.parametrize("name", ["a | b", "`a`", "`", "|", "pred**2 + label**2", "back\\slash", "a \\| b", "plain"])
def test_a_markdown_table_has_the_same_cells_whatever_the_names(name: str) -> None:
    rows = table_rows(markdown(["loss", "x"], [[name, "1"], ["BCE", "2"]]))
    assert [len(row) for row in rows] == [2, 2, 2, 2]
    assert rows[2][0].replace("\\`", "`").replace("\\*", "*") == name
    assert rows[1] == ["---", "---"]


def test_a_power_is_not_bold() -> None:
    assert literal("pred**2 + label**2") == r"pred\*\*2 + label\*\*2"
    assert literal("log(pred) - 1") == "log(pred) - 1"


def test_long_names_are_cut() -> None:
    assert short("a" * 70) == "a" * 70
    assert short("a" * 71) == "a" * 66 + " ..."


def test_numbers_are_those_of_the_results() -> None:
    row, broken = as_numbers([FULL, BROKEN]).to_dict("records")
    assert (row["loss"], row["label"], row["group"]) == (SQUARE.title, "PPO #1", SEARCH)
    assert (row["seeds"], row["broken_seeds"]) == (2, 0)
    assert (row["learning_rate"], row["weight_decay"]) == (0.001, 1e-5)
    assert (row["test_auc"], row["test_auc_sd"]) == (FULL.mean("test_auc"), FULL.spread("test_auc"))
    assert (row["difference"], row["low"], row["high"]) == (KNOWN.estimate, KNOWN.low, KNOWN.high)
    assert (row["difference_se"], row["p_value"], row["p_holm"]) == (KNOWN.standard_error, KNOWN.p_value, 0.042)
    assert broken["broken_seeds"] == 1
    assert all(math.isnan(broken[name]) for name in ("val_auc", "test_auc", "test_auc_se", "difference", "p_holm"))


def test_a_loss_is_described_as_it_was_trained() -> None:
    class Unwritten(MSE):
        title = "Unwritten"

        def init_args(self) -> dict[str, Any]:
            raise TypeError("an argument is no plain value")

    tuned = Setting(0.001, 1e-5, (("gamma", 3.0),))
    losses = [(Focal(), tuned), (FormulaLoss("pred - label", "autolossgen"), FULL.setting), (Unwritten(), FULL.setting)]
    results = [loss_result(ComparedLoss(loss, "", GIVEN), setting=setting) for loss, setting in losses]
    focal, formula, unwritten = as_numbers(results)["spec"]
    assert json.loads(focal) == Focal(gamma=3.0).spec()
    assert json.loads(formula) == FormulaLoss("pred - label", "autolossgen").spec()
    assert unwritten == ""
