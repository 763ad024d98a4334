import io
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from lightning_modules.search.events import Candidate
from lightning_modules.search.reports.summary import FormulasFile, as_table, print_summary, ranking
from tests.search.observer_helpers import candidate, reference

CANDIDATES = [
    reference("BCE", 0.0),
    candidate(formula="min(pred, label)", simplified="min(label, pred)", reward=-0.1),
    candidate(formula="first of two", simplified="first of two", reward=0.25, round=2),
    candidate(formula="second of two", simplified="second of two", reward=0.25, round=3),
    candidate(formula="broken", simplified="broken", reward=-1.0, metric=None, status="failed", error="ValueError"),
    reference("MSE", 0.1),
]
RANKED = ["first of two", "second of two", "MSE", "BCE", "min(pred, label)", "broken"]


def test_ranking_sorts_by_falling_reward_and_keeps_the_order_of_equals() -> None:
    ranked = ranking(as_table(CANDIDATES))
    assert ranked["formula"].tolist() == RANKED
    assert ranked["rank"].dropna().tolist() == [1, 2, 3, 4]
    assert ranked["rank"].isna().tolist() == [False, False, True, True, False, False]
    assert ranked["reward"].is_monotonic_decreasing


def test_those_that_broke_come_last_and_have_least_whatever_was_trained_later() -> None:
    failed = candidate(formula="broken", reward=-1.0, metric=None, status="non-finite", epochs=9)
    ranked = ranking(as_table([failed, candidate(formula="far", reward=-4.0, epochs=1), reference("BCE", -2.5)]))
    assert ranked["formula"].tolist() == ["far", "BCE", "broken"]
    assert ranked["reward"].iloc[-1] < -4.0


def test_the_formulas_file_is_the_ranking(tmp_path: Path) -> None:
    file = FormulasFile(tmp_path)
    for each in CANDIDATES:
        file.on_candidate(each)
    assert not file.path.exists()
    file.on_end()
    table = pd.read_csv(tmp_path / "formulas.csv")
    assert table["formula"].tolist() == RANKED
    assert table["rank"].dropna().tolist() == [1, 2, 3, 4]
    assert table.columns[:5].tolist() == ["rank", "formula", "reward", "standard_error", "status"]
    assert table["reward"].tolist() == [0.25, 0.25, 0.1, 0.0, -0.1, -1.0]
    assert table["metric"].isna().tolist() == [False] * 5 + [True]


def test_a_study_without_candidates_has_an_empty_file(tmp_path: Path) -> None:
    FormulasFile(tmp_path).on_end()
    assert len(pd.read_csv(tmp_path / "formulas.csv")) == 0


def test_the_table_shows_the_best_formulas_and_every_hand_made_loss() -> None:
    output = io.StringIO()
    print_summary(Console(file=output, width=160), CANDIDATES, Path("runs/study"), top=2)
    lines = output.getvalue().splitlines()
    shown = [next((name for name in RANKED if f" {name} " in line), None) for line in lines]
    assert [name for name in shown if name] == ["first of two", "second of two", "MSE", "BCE"]
    assert any("+0.2500" in line and "0.7500" in line for line in lines)
    assert "runs/study/formulas.csv" in output.getvalue()
    assert "tensorboard --logdir runs/study" in output.getvalue()
    assert "protected and clamped as defined by: export runs/study --to latex" in output.getvalue()


SQUARE, SUM = "(label - pred)**2", "(label - pred)**2 + abs(label - pred) + label"
FRONT = [
    candidate(formula="label / pred", simplified="label / pred", reward=-0.1),
    candidate(formula=SQUARE, simplified=SQUARE, reward=0.1, standard_error=0.02),
    candidate(formula="3 * (label - pred)", simplified="3 * label - 3 * pred", reward=-0.3),
    candidate(formula=SUM, simplified=SUM, reward=0.2),
    reference("BCE", 0.0),
]


def printed(candidates: list[Candidate], **options: Any) -> list[str]:
    output = io.StringIO()
    print_summary(Console(file=output, **options), candidates, Path("runs/study"), top=10)
    return output.getvalue().splitlines()


def test_the_front_comes_first_a_line_a_formula_without_terms_that_have_no_gradient() -> None:
    lines = printed(FRONT, width=80)
    assert [line.split() for line in lines[1:5]] == [
        ["operators", "rank", "reward", "(se)", "formula"],
        ["1", "3", "-0.1000", "label", "/", "pred"],
        ["2", "2", "+0.1000", "(0.0200)", *SQUARE.split()],
        ["5", "1", "+0.2000", "(pred", "-", "label)**2", "+", "abs(pred", "-", "label)"],
    ]
    assert len({line.index(name) for line, name in zip(lines[1:4], ("formula", "label", "(label"), strict=True)}) == 1
    assert "runs/study#front:5" in lines[5]


def test_lines_of_the_front_end_with_a_terminal_and_not_with_a_file() -> None:
    for options, length in (({"force_terminal": True}, 40), ({}, len(printed(FRONT, width=200)[4]))):
        lines = printed(FRONT, width=40, color_system=None, **options)
        assert len(lines[4]) == length
    assert printed(FRONT, width=40, color_system=None, force_terminal=True)[4].endswith("...")


def test_without_a_trained_formula_there_is_no_front() -> None:
    assert "#front" not in "".join(printed([reference("BCE", 0.0), candidate(status="failed", metric=None)]))


def test_the_table_takes_failed_children() -> None:
    output = io.StringIO()
    print_summary(Console(file=output, width=160), CANDIDATES, Path("runs/study"), top=10)
    assert any("broken" in line and "-1.0000" in line for line in output.getvalue().splitlines())
