"""The last stage of a search: its best formulas are trained to convergence beside the tuned baseline."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from lightning_modules.losses import Formula, LossObject
from lightning_modules.search.answer import FinalistRun, Validation, validated_formulas
from lightning_modules.search.events import Candidate
from lightning_modules.search.finalist_training import FinalistTraining, train_finalists
from lightning_modules.search.front import front
from lightning_modules.search.gradient_scale import unscaled
from lightning_modules.search.reports.summary import as_table, ranking
from lightning_modules.training.executors import TrainingExecutor
from lightning_modules.training.executors.dispatch import Death, dispatch
from lightning_modules.training.statuses import FAILED

#: Writes the trainings of a finalist to disk, all of them or none.
RecordFinalist = Callable[[Sequence[FinalistRun]], object]


# Standard errors.
_CLEARLY = 3.0


class Lessons(NamedTuple):
    """What finalists teach of the programs with their gradients.

    Attributes:
        signature: Numbers of gradient signatures, int64 ``[count]``.
        reward: The validated difference of each, float64 ``[count]``.
        operators: The number of operators of its program's expression, int64 ``[count]``.
        standard_error: Of each difference, float64 ``[count]``.
    """

    signature: Tensor
    reward: Tensor
    operators: Tensor
    standard_error: Tensor


class Finalists:
    """Trains the finalists of a search on an executor, each once in a study, and compares them with the baseline.

    Args:
        executor: Where finalists are trained.
        training: Trains them, some at a time.
        baseline: The loss that they are compared with.
        count: The largest number of finalists.
        known: The trainings of finished finalists, by name; those with the same seeds and epochs are not repeated.
        record: Writes the trainings of a finalist to disk before they are yielded.
    """

    def __init__(
        self,
        executor: TrainingExecutor,
        training: FinalistTraining,
        *,
        baseline: LossObject,
        count: int,
        known: Mapping[str, Sequence[FinalistRun]],
        record: RecordFinalist,
    ) -> None:
        self.baseline = baseline
        self.count = count
        self.asked = [(seed, training.most_epochs) for seed in training.seeds]
        same = (name for name, runs in known.items() if [(run.seed, run.most_epochs) for run in runs] == self.asked)
        self.known = {name: known[name] for name in same}
        self.record = record
        self._executor = executor
        self._group = training.group
        self._training = executor.share(training)

    def train(self, losses: Sequence[LossObject]) -> Generator[Sequence[FinalistRun]]:
        """Train the baseline and the finalists whose trainings are unknown, and yield those of each as it is finished.

        Raises:
            OSError: If they cannot be written to disk.
        """
        entered = {loss.title: loss for loss in (self.baseline, *losses)}
        yield from (self.known[name] for name in entered if name in self.known)
        missing = [loss for name, loss in entered.items() if name not in self.known]
        # None of the workers waits for another one's finalists.
        size = min(self._group, math.ceil(len(missing) / self._executor.slots)) or 1
        lost: list[LossObject] = []
        yield from self._train([missing[first : first + size] for first in range(0, len(missing), size)], lost)
        # A process that dies takes the others of its group along.
        yield from self._train([[loss] for loss in lost], [])

    def _train(
        self, groups: Sequence[Sequence[LossObject]], lost: list[LossObject]
    ) -> Generator[Sequence[FinalistRun]]:
        """Train groups of finalists and yield the trainings of each; those to try again alone are added to ``lost``."""

        def on_done(number: int, outcome: list[list[FinalistRun]] | Death) -> None:
            group = groups[number]
            if isinstance(outcome, Death) and len(group) > 1:
                lost.extend(group)
                return
            of_each = [self._killed(group[0].title, outcome)] if isinstance(outcome, Death) else outcome
            for loss, runs in zip(group, of_each, strict=True):
                self.record(runs)
                self.known[loss.title] = runs

        calls = [(self._training, tuple(group)) for group in groups]
        for number in dispatch(self._executor, train_finalists, calls, on_done):
            yield from (self.known[loss.title] for loss in groups[number] if loss.title in self.known)

    def validation(self, number: int, formulas: Sequence[str]) -> Validation:
        """Compare trained finalists with the trained baseline after a round.

        Raises:
            RuntimeError: If the baseline has no score.
        """
        baseline = self.known[self.baseline.title]
        if lost := [run for run in baseline if run.score is None]:
            reason = lost[0].error or "Its loss or metric is not finite: look at the learning rates and the labels."
            raise RuntimeError(
                f"the baseline {self.baseline.title} could not be trained to convergence ({lost[0].status}), so that "
                f"no finalist can be compared with it. {reason}"
            )
        finalists = {formula: self.known[formula] for formula in formulas}
        operators = {formula: Formula.parse(formula).num_operators for formula in formulas}
        validated = validated_formulas(baseline, finalists, operators)
        score = fmean(run.score for run in baseline if run.score is not None)
        return Validation(number, self.baseline.title, score, validated)

    def _killed(self, name: str, death: Death) -> list[FinalistRun]:
        return [
            FinalistRun(name, seed, FAILED, None, 0, None, None, 0.0, death.error, most) for seed, most in self.asked
        ]


def best_distinct(candidates: Sequence[Candidate], count: int) -> list[str]:
    """Return the formulas to train to convergence: those on the front, then those with the highest rewards.

    Formulas of the front whose reward is clearly below the highest one wait for their turn by reward. Of formulas with
    the same gradient the first one is taken.
    """
    ranked = ranking(as_table(candidates))
    trained = ranked[(ranked["kind"] == "candidate") & (ranked["status"] == "trained")]
    ordered = pd.concat([_near_the_best(front(ranked)[::-1]), trained]).drop_duplicates("formula")
    distinct = ordered[ordered["signature"].isna() | ~ordered["signature"].duplicated()]
    formulas: list[str] = distinct["formula"].head(count).tolist()
    return formulas


def _near_the_best(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose reward is less than some standard errors below the first one's."""
    error = rows["standard_error"].astype(float).fillna(math.inf)
    return rows[rows["reward"] >= rows["reward"].max() - _CLEARLY * error]


def lessons_of(validation: Validation, candidates: Sequence[Candidate], *, scaled: bool = False) -> Lessons:
    """Return what validated formulas teach; those whose training failed teach nothing.

    Args:
        validation: The formulas with their results.
        candidates: All candidates of the search.
        scaled: Whether formulas were multiplied by a constant before they were trained, which is no part of a program.
    """
    signatures = {each.formula: each.signature for each in candidates}
    known = [each for each in validation.formulas if each.difference is not None]
    known = [each for each in known if signatures[each.formula] is not None]
    return Lessons(
        torch.tensor([signatures[each.formula] for each in known], dtype=torch.int64),
        torch.tensor([each.difference for each in known], dtype=torch.float64),
        torch.tensor([_sampled(each.formula, scaled=scaled).num_applied for each in known], dtype=torch.int64),
        torch.tensor([_or_nan(each.standard_error) for each in known], dtype=torch.float64),
    )


def _or_nan(error: float | None) -> float:
    return math.nan if error is None else error


def _sampled(formula: str, *, scaled: bool) -> Formula:
    """Return the formula as the strategy proposed it."""
    trained = Formula.parse(formula)
    return unscaled(trained) if scaled else trained
