"""What the screen says of finalists."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.reports.validation import Measurement, print_validation
from tests.search.observer_helpers import candidate

FORMULAS = (
    ValidatedFormula("log(pred)", None, None),
    ValidatedFormula("pred * label", 0.02, 0.03),
    ValidatedFormula("(pred - label)**2", 0.01, 0.004, is_answer=True),
)
TRAINED = [candidate(formula=each.formula, reward=0.0625) for each in FORMULAS]
MEASURED = Measurement("val/auc", "2 epochs", holds_out=True, seeds=3, most_epochs=70)


def told(
    formulas: tuple[ValidatedFormula, ...], measurement: Measurement = MEASURED, root: str = "runs/a run"
) -> list[str]:
    output = io.StringIO()
    validation = Validation(5, "BCE", 0.7125, formulas)
    print_validation(Console(file=output, width=160), validation, TRAINED, measurement, Path(root))
    return output.getvalue().splitlines()


def test_finalists_are_shown_best_first_beside_their_rewards_and_the_answer_is_named() -> None:
    lines = told(FORMULAS)
    rows = [line for line in lines if "+0.0625" in line]
    shown = [("pred * label", "+0.0200 (0.0300)"), ("(pred - label)**2", "+0.0100 (0.0040)"), ("log(pred)", "failed")]
    assert all(text in row and value in row for (text, value), row in zip(shown, rows, strict=True))
    assert [("the answer" in row) for row in rows] == [False, True, False]
    assert "The answer: (pred - label)**2" in lines
    assert any("tuned BCE, 0.7125, by 0.0100, with a standard error of 0.0040" in line for line in lines)
    assert lines[-2].endswith("python train.py compare --study 'runs/a run' --root 'runs/a run_compare'")
    assert lines[-1].endswith("--model.loss 'runs/a run#answer'")


def test_the_next_command_names_a_folder_without_a_comparison(tmp_path: Path) -> None:
    for name in ("run_compare", "run_compare_2"):
        (tmp_path / name).mkdir()
    assert f" --root {tmp_path / 'run_compare_3'}" in told(FORMULAS, root=str(tmp_path / "run"))[-2]


def test_nothing_found_is_an_answer_too() -> None:
    lines = told(FORMULAS[:2])
    assert any(line.startswith("The answer: nothing that beats BCE was found. Of 2 finalists none") for line in lines)
    assert any("compare --study" in line for line in lines)
    assert not any("#answer" in line for line in lines)


def test_metric_epochs_and_rows_are_named() -> None:
    text = " ".join(told(FORMULAS))
    assert "AUC is after 2 epochs, on rows held out of the training rows" in text
    assert "trained 3 times" in text
    assert "at most 70 epochs" in text
    flattered = " ".join(told(FORMULAS, replace(MEASURED, monitor="val/log_loss", holds_out=False)))
    assert "log-loss is after 2 epochs, on the validation rows" in flattered
    assert "finalists look better than they are" in flattered


def test_one_pass_and_the_metric_of_a_task_are_told() -> None:
    text = " ".join(told(FORMULAS, replace(MEASURED, monitor="val/auc/click", most_epochs=1)))
    assert "the AUC click is after 2 epochs" in text
    assert "trained 3 times, for 1 epoch, tuned by the AUC click on rows held out of the training rows" in text
