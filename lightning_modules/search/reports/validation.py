"""The finalists of a search in the terminal: a table, the answer in words, and the next command."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lightning_modules.losses import Formula
from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate
from lightning_modules.search.reports.summary import reward_words
from lightning_modules.utilities.messages import shortened

_LONGEST_SHOWN = 117
_TITLES = {"auc": "AUC", "log_loss": "log-loss", "ndcg": "NDCG", "mrr": "MRR", "map": "MAP"}


@dataclass(frozen=True)
class Measurement:
    """How rewards and results of finalists were measured, for readers.

    Attributes:
        monitor: The metric, such as ``val/auc``.
        reward: How long a candidate was trained for its reward, such as ``2 epochs``.
        holds_out: Whether rewards were measured on rows that were held out of the training rows, and not on the
            validation rows.
        seeds: Trainings of each finalist.
        most_epochs: The most epochs of each of them.
        tuned: What was tuned for each of them, in words.
    """

    monitor: str
    reward: str
    holds_out: bool
    seeds: int
    most_epochs: int
    tuned: str = "learning rate and weight decay"

    @property
    def metric(self) -> str:
        """The name of the metric in a sentence."""
        measured, _, task = self.monitor.removeprefix("val/").partition("/")
        name, *cutoff = measured.split("@")
        title = "@".join([_TITLES.get(name, name.replace("_", " ")), *cutoff])
        return f"{title} {task}".rstrip()

    @property
    def reward_rows(self) -> str:
        """The rows that rewards were measured on."""
        return "rows held out of the training rows" if self.holds_out else "the validation rows"

    @property
    def finalist_length(self) -> str:
        """How long finalists were trained."""
        if self.most_epochs == 1:
            return f"for 1 epoch, tuned by the {self.metric} on {self.reward_rows}"
        return f"until the {self.metric} on {self.reward_rows} got no better, for at most {self.most_epochs} epochs"


def print_validation(
    console: Console, validation: Validation, candidates: Sequence[Candidate], measurement: Measurement, root: Path
) -> None:
    """Print the finalists, best first, the answer, how it was found, and what to do next."""
    console.print(_table(validation, candidates, measurement))
    for line in (
        *_answer(validation, measurement),
        *_explained(validation, measurement),
        *_next_steps(validation, root),
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _table(validation: Validation, candidates: Sequence[Candidate], measurement: Measurement) -> Table:
    rewards = {each.formula: each for each in candidates if each.kind == "candidate"}
    better = f"{measurement.metric} better than tuned {validation.baseline}'s by (se)"
    table = Table("finalist", "operators", better, "reward (se)", "", title="Finalists, trained to convergence")
    last = float("inf")
    for each in sorted(validation.formulas, key=lambda each: last if each.difference is None else -each.difference):
        formula, found = Formula.parse(each.formula), rewards[each.formula]
        table.add_row(
            shortened(formula.shortest(), _LONGEST_SHOWN),
            str(formula.num_operators),
            _difference(each),
            reward_words(found.reward, found.standard_error),
            "the answer" if each.is_answer else "",
        )
    return table


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
            f"none has a better {measurement.metric} on the validation rows than {baseline}, {score}, by more than the "
            "standard error of the difference."
        ]
    return [
        f"The answer: {Formula.parse(answer.formula).shortest()}",
        f"On the validation rows its {measurement.metric} is better than that of {baseline}, {score}, by "
        f"{answer.difference:.4f}, with a standard error of {answer.standard_error:.4f}.",
    ]


def _explained(validation: Validation, measurement: Measurement) -> list[str]:
    metric, baseline = measurement.metric, validation.baseline
    lines = [
        f"- The reward is how much better than {baseline}'s the {metric} is after {measurement.reward}, on "
        f"{measurement.reward_rows}. It only says which formulas become finalists.",
        f"- Every finalist and {baseline} had {measurement.tuned} tuned for it and was trained "
        f"{measurement.seeds} times, {measurement.finalist_length}. Then their {metric} on the validation rows was "
        "compared.",
    ]
    if not measurement.holds_out:
        lines.append(
            "- The validation rows have also given the rewards and ended the trainings, so that finalists look better "
            "than they are; --search.holdout 0.1 keeps these rows apart."
        )
    return lines


def _next_steps(validation: Validation, root: Path) -> list[str]:
    study, comparison = shlex.quote(str(root)), shlex.quote(_free_folder(f"{root}_compare"))
    compared = f"Next, on the test rows:      python train.py compare --study {study} --root {comparison}"
    if validation.answer is None:
        return [compared, "To search on:                the same command with more --search.rounds"]
    return [compared, f"To train with the answer:    --model.loss {shlex.quote(f'{root}#answer')}"]


def _free_folder(name: str) -> str:
    """Return the name of a folder that is not there: a comparison with other settings could not be continued."""
    names = (name if number == 1 else f"{name}_{number}" for number in count(1))
    return next(each for each in names if not Path(each).exists())
