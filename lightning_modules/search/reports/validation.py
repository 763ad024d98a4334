"""The finalists of a search in the terminal: a table, and the answer in words."""

from collections.abc import Sequence

from rich.console import Console

from lightning_modules.losses import Formula
from lightning_modules.search.answer import ValidatedFormula, Validation, bar_words
from lightning_modules.search.events import Candidate
from lightning_modules.search.reports.measurement import Measurement
from lightning_modules.search.reports.summary import reward_words
from lightning_modules.utilities.row_table import print_rows


def print_finalists(
    console: Console, validation: Validation, candidates: Sequence[Candidate], measurement: Measurement
) -> bool:
    """Print the finalists, best first, and return whether a formula had to be shortened."""
    rewards = {each.formula: each for each in candidates if each.kind == "candidate"}
    title = (
        f"Finalists, trained to convergence: the {measurement.metric} on the validation rows less that of tuned "
        f"{validation.baseline}, beside the reward"
    )
    last = float("inf")
    rows = [
        _cells(each, rewards[each.formula])
        for each in sorted(validation.formulas, key=lambda each: last if each.difference is None else -each.difference)
    ]
    return print_rows(console, title, ("better by (se)", "reward (se)", "operators", "", "finalist"), rows, kept=2)


def answer_lines(validation: Validation | None, measurement: Measurement) -> list[str]:
    """Return the answer in words, with whether it is validated, and how it was found."""
    if validation is None:
        return [
            "The answer: not validated. A high reward says which formulas are promising, not that one beats "
            f"{measurement.baseline}: --search.finalists 10 with the same command trains the best to convergence."
        ]
    lines = [*_answer(validation, measurement), f"- {measurement.finalist_sentence}"]
    if not measurement.holds_out:
        lines.append(
            "- The validation rows have also given the rewards and ended the trainings, so that finalists look better "
            "than they are; --search.holdout 0.1 keeps these rows apart."
        )
    return lines


def _cells(validated: ValidatedFormula, candidate: Candidate) -> list[str]:
    formula = Formula.parse(validated.formula)
    return [
        _difference(validated),
        reward_words(candidate.reward, candidate.standard_error),
        str(formula.num_operators),
        "the answer" if validated.is_answer else "",
        formula.shortest(),
    ]


def _difference(validated: ValidatedFormula) -> str:
    if validated.difference is None:
        return "training failed"
    return reward_words(validated.difference, validated.standard_error)


def _answer(validation: Validation, measurement: Measurement) -> list[str]:
    answer, baseline = validation.answer, f"tuned {validation.baseline}"
    score = f"{abs(validation.baseline_score):.4f}"
    if answer is None or answer.difference is None or answer.standard_error is None:
        return [
            f"The answer: nothing that beats {validation.baseline} was found. Of {len(validation.formulas)} finalists "
            f"none has a better {measurement.metric} on the validation rows than {baseline}, {score}, by more than "
            f"{bar_words(len(validation.formulas))} of the difference."
        ]
    return [
        f"The answer, validated: {Formula.parse(answer.formula).shortest()}",
        f"On the validation rows its {measurement.metric} is better than that of {baseline}, {score}, by "
        f"{answer.difference:.4f}, with a standard error of {answer.standard_error:.4f}.",
    ]
