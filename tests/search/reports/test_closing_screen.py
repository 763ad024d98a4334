"""What a search says when it has ended, on terminals of any width and in a file."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate
from lightning_modules.search.reports.closing_screen import print_closing_screen
from lightning_modules.search.reports.measurement import Measurement
from tests.search.observer_helpers import candidate, reference

SQUARE, SUM = "(label - pred)**2", "(label - pred)**2 + abs(label - pred) + label"
FRONT = [
    candidate(formula="label / pred", simplified="label / pred", reward=-0.1),
    candidate(formula=SQUARE, simplified=SQUARE, reward=0.1, standard_error=0.02),
    candidate(formula="3 * (label - pred)", simplified="3 * label - 3 * pred", reward=-0.3),
    candidate(formula=SUM, simplified=SUM, reward=0.2, round=12),
    candidate(formula="broken", simplified="broken", reward=-1.0, metric=None, status="failed", error="ValueError"),
    reference("BCE", 0.0),
    reference("MSE", 0.15),
]
SHOWN_SUM = "(pred - label)**2 + abs(pred - label)"
MEASURED = Measurement("val/auc", "2 epochs", holds_out=True, seeds=3, most_epochs=70)
ANSWER = Validation(5, "BCE", 0.7125, (ValidatedFormula(SQUARE, 0.01, 0.004, is_answer=True),))


def printed(
    candidates: list[Candidate] = FRONT,
    top: int = 10,
    validation: Validation | None = None,
    root: str = "runs/study",
    **options: Any,
) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, color_system=None, **options)
    print_closing_screen(console, candidates, Path(root), top, MEASURED, validation=validation, remarks=["mind"])
    return output.getvalue().splitlines()


def table(lines: list[str], title: str) -> list[str]:
    rest = lines[next(place for place, line in enumerate(lines) if line.startswith(title)) + 1 :]
    return rest[: next((place for place, line in enumerate(rest) if not line or line[0] in "WF-"), None)]


def test_the_reward_is_explained_first() -> None:
    assert printed()[0] == MEASURED.reward_sentence


def test_the_front_has_a_line_a_formula_without_terms_that_have_no_gradient() -> None:
    lines = table(printed(width=30), "The best formula with")
    assert [line.split() for line in lines] == [
        ["operators", "rank", "reward", "se", "formula"],
        ["1", "3", "-0.1000", "label", "/", "pred"],
        ["2", "2", "+0.1000", "0.0200", *SQUARE.split()],
        ["5", "1", "+0.2000", *SHOWN_SUM.split()],
    ]
    assert len({line.index(name) for line, name in zip(lines[:3], ("formula", "label", "(label"), strict=True)}) == 1
    assert any("runs/study#front:5" in line for line in printed())


def test_the_best_formulas_and_every_hand_made_loss_are_shown_in_order() -> None:
    lines = table(printed(top=2, width=30), "Best formulas")
    names = (SHOWN_SUM, "MSE", SQUARE, "BCE")
    assert all(line.endswith(f"  {name}") for line, name in zip(lines[1:5], names, strict=True))
    assert len(lines) == 5
    assert lines[1].split()[:6] == ["1", "+0.2000", "0.7500", "100%", "5", "12"]


def test_right_signs_are_called_those_of_screening() -> None:
    lines = printed()
    assert "right in screening" in table(lines, "Best formulas")[0]
    assert any(line.startswith("- Right in screening is the share of right gradient signs") for line in lines)
    assert not any("in screening is" in line for line in printed([reference("BCE", 0.0)]))


def test_failed_candidates_have_no_metric() -> None:
    assert any(line.endswith("broken") and "-1.0000" in line for line in printed())


@pytest.mark.parametrize(("width", "cuts"), [(40, True), (45, True), (80, False), (100, False), (200, False)])
def test_a_terminal_is_never_too_narrow_for_a_table(width: int, cuts: bool) -> None:
    lines = printed(width=width, force_terminal=True)
    rows = [*table(lines, "The best formula with"), *table(lines, "Best formulas")]
    assert max(map(len, rows)) <= width
    assert cuts == any(row.endswith("...") for row in rows)
    assert cuts == any(line.startswith("Formulas in full: runs/study/formulas.csv. runs/study#3") for line in lines)


def test_what_goes_to_a_file_is_whole() -> None:
    assert printed(width=20) == printed(width=200)
    assert not any(line.endswith("...") for line in printed(width=20))


def test_files_and_commands_have_their_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["lossmith"])
    lines = printed(validation=ANSWER, root="runs/a run")
    ends = ("runs/a run/search.png", "runs/a run/formulas.csv", "tensorboard --logdir 'runs/a run'")
    assert all(any(line.endswith(end) for line in lines) for end in ends)
    assert lines[-3].endswith(" lossmith compare --study 'runs/a run' --root 'runs/a run_compare'")
    assert lines[-2].endswith(" --model.loss 'runs/a run#answer'")
    assert lines[-1].endswith(" lossmith export 'runs/a run' --rank 2 --to python")
    for name in ("run_compare", "run_compare_2"):
        (tmp_path / name).mkdir()
    assert any(f" --root {tmp_path / 'run_compare_3'}" in line for line in printed(root=str(tmp_path / "run")))


def test_without_an_answer_there_is_none_to_name() -> None:
    lines = printed(validation=Validation(5, "BCE", 0.7125, (ValidatedFormula(SQUARE, 0.01, 0.04),)))
    assert any(line.startswith("The answer: nothing that beats BCE") for line in lines)
    assert not any("#answer" in line for line in lines)
    assert any("compare --study" in line for line in lines)


def test_without_a_formula_there_is_neither_front_nor_command() -> None:
    lines = printed([reference("BCE", 0.0)])
    assert "#front" not in "".join(lines)
    assert lines[-1] == "No formula was trained. What else was: runs/study/formulas.csv"
