"""What the screen says of finalists."""

import io
from dataclasses import replace

from rich.console import Console

from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.reports.measurement import Measurement
from lightning_modules.search.reports.validation import answer_lines, print_finalists
from tests.search.observer_helpers import candidate

FORMULAS = (
    ValidatedFormula("log(pred)", None, None),
    ValidatedFormula("pred * label", 0.02, 0.03),
    ValidatedFormula("(pred - label)**2", 0.01, 0.004, is_answer=True),
)
TRAINED = [candidate(formula=each.formula, reward=0.0625) for each in FORMULAS]
MEASURED = Measurement("val/auc", "2 epochs", holds_out=True, seeds=3, most_epochs=70)


def told(formulas: tuple[ValidatedFormula, ...], measurement: Measurement = MEASURED) -> list[str]:
    return answer_lines(Validation(5, "BCE", 0.7125, formulas), measurement)


def test_finalists_are_shown_best_first_beside_their_rewards_and_the_answer_is_named() -> None:
    output = io.StringIO()
    print_finalists(Console(file=output, width=40), Validation(5, "BCE", 0.7125, FORMULAS), TRAINED, MEASURED)
    rows = [line for line in output.getvalue().splitlines() if "+0.0625" in line]
    shown = [("pred * label", "+0.0200 (0.0300)"), ("(pred - label)**2", "+0.0100 (0.0040)"), ("log(pred)", "failed")]
    assert all(row.endswith(text) and value in row for (text, value), row in zip(shown, rows, strict=True))
    assert [("the answer" in row) for row in rows] == [False, True, False]
    lines = told(FORMULAS)
    assert lines[0] == "The answer, validated: (pred - label)**2"
    assert "tuned BCE, 0.7125, by 0.0100, with a standard error of 0.0040" in lines[1]


def test_nothing_found_is_an_answer_too() -> None:
    assert told(FORMULAS[:2])[0].startswith("The answer: nothing that beats BCE was found. Of 2 finalists none")


def test_without_finalists_there_is_no_validated_answer() -> None:
    (line,) = answer_lines(None, MEASURED)
    assert line.startswith("The answer: not validated.")
    assert "--search.finalists" in line


def test_metric_epochs_and_rows_are_named() -> None:
    assert "AUC is after 2 epochs, on rows held out of the training rows" in MEASURED.reward_sentence
    text = " ".join(told(FORMULAS))
    assert "trained 3 times" in text
    assert "at most 70 epochs" in text
    flattering = replace(MEASURED, monitor="val/log_loss", holds_out=False, baseline="MSE")
    assert "than MSE's the log-loss is after 2 epochs, on the validation rows" in flattering.reward_sentence
    assert "finalists look better than they are" in " ".join(told(FORMULAS, flattering))


def test_a_reward_without_a_baseline_is_the_metric_itself() -> None:
    measured = replace(MEASURED, monitor="val/log_loss", relative=False, negated=True)
    assert measured.reward_sentence.startswith("The reward is the negated log-loss after 2 epochs")


def test_one_pass_and_the_metric_of_a_task_are_told() -> None:
    measured = replace(MEASURED, monitor="val/auc/click", most_epochs=1)
    assert "the AUC click is after 2 epochs" in measured.reward_sentence
    text = " ".join(told(FORMULAS, measured))
    assert "trained 3 times, for 1 epoch, tuned by the AUC click on rows held out of the training rows" in text
