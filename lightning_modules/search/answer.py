"""The answer of a search: the finalist that beats the tuned baseline on the validation rows, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from lightning_modules.statistics.standard_errors import seeds_standard_error

#: The standard errors by which one finalist alone has to beat the baseline.
_BAR_OF_ONE = 1.0


@dataclass(frozen=True)
class FinalistRun:
    """One training of a finalist to convergence, with the setting that was chosen for it.

    Attributes:
        name: The formula, or the name of the baseline.
        seed: Seed of the training.
        status: ``trained``, ``diverged`` or ``failed``.
        score: The monitored metric on the validation rows, negated where less is better; ``None`` unless trained.
        epoch: The epoch of the weights, counted from 1; 0 if there are none.
        learning_rate: Learning rate of the setting; ``None`` if the process died.
        weight_decay: Weight decay of the setting; ``None`` if the process died.
        seconds: Wall time; that of the first seed includes the tuning.
        error: The exception of a failed training; empty otherwise.
        most_epochs: The most epochs that it might have taken.
        components: The contribution of every user, or of blocks of them, to the score on the validation rows, float32
            [n]; ``None`` unless that is an AUC or a mean over users.
        temperature: Temperature of the setting; ``None`` where it is not tuned.
    """

    name: str
    seed: int
    status: str
    score: float | None
    epoch: int
    learning_rate: float | None
    weight_decay: float | None
    seconds: float
    error: str = ""
    most_epochs: int = 0
    components: Tensor | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class ValidatedFormula:
    """A finalist beside the tuned baseline, both trained to convergence with the same seeds.

    Attributes:
        formula: The formula.
        difference: Its mean score on the validation rows less the baseline's; ``None`` if a training failed.
        standard_error: Of the difference, over users and seeds.
        is_answer: Whether it is the answer.
        temperature: The temperature that was tuned for it; ``None`` where it is not tuned.
    """

    formula: str
    difference: float | None
    standard_error: float | None
    is_answer: bool = False
    temperature: float | None = None


@dataclass(frozen=True)
class Validation:
    """What became of the finalists on the validation rows.

    Attributes:
        round: The last finished round.
        baseline: Name of the baseline.
        baseline_score: The baseline's mean score over the seeds.
        formulas: The finalists, in the order of their rewards.
    """

    round: int
    baseline: str
    baseline_score: float
    formulas: tuple[ValidatedFormula, ...]

    @property
    def answer(self) -> ValidatedFormula | None:
        """The answer; ``None`` if no finalist beats the baseline."""
        return next((each for each in self.formulas if each.is_answer), None)


def validated_formulas(
    baseline: Sequence[FinalistRun], finalists: Mapping[str, Sequence[FinalistRun]], operators: Mapping[str, int]
) -> tuple[ValidatedFormula, ...]:
    """Compare finalists with the baseline, and mark the answer if there is one.

    The answer beats the baseline by more than :func:`bar_of` standard errors of the difference. Of the formulas that
    do, the best one and those less than a standard error of their difference below it are equals; the shortest of these
    is taken.

    Args:
        baseline: The baseline's trainings.
        finalists: The trainings of every finalist, with the same seeds, by formula.
        operators: The number of operators of every formula.
    """
    compared = {formula: difference_of(runs, baseline) for formula, runs in finalists.items()}
    bar = bar_of(len(finalists))
    beating = {formula: each for formula, each in compared.items() if each is not None and each[0] > bar * each[1]}
    best = max(beating, key=lambda formula: beating[formula][0], default="")
    equals = [formula for formula in beating if _is_equal(finalists[best], finalists[formula])]
    answer = min(equals, key=lambda formula: (operators[formula], -beating[formula][0]), default=None)
    results = ((formula, found or (None, None)) for formula, found in compared.items())
    return tuple(
        ValidatedFormula(formula, gap, error, formula == answer, finalists[formula][0].temperature)
        for formula, (gap, error) in results
    )


def bar_of(count: int) -> float:
    """Return by how many standard errors the best of so many finalists has to beat the baseline.

    Of ten finalists as good as the baseline, the best one is more than one standard error better in four searches of
    five. With this bar it is in one of six, as a single finalist is with one standard error (Bonferroni).
    """
    normal = NormalDist()
    return -normal.inv_cdf(normal.cdf(-_BAR_OF_ONE) / max(count, 1))


def bar_words(count: int) -> str:
    """Return the bar in words, such as ``2.1 standard errors``."""
    return "the standard error" if count == 1 else f"{bar_of(count):.1f} standard errors"


def difference_of(runs: Sequence[FinalistRun], others: Sequence[FinalistRun]) -> tuple[float, float] | None:
    """Return the mean difference of two losses' scores, and its standard error over users and seeds.

    Args:
        runs: Trainings of one loss.
        others: Trainings of the other one, with the same seeds in the same order.

    Returns:
        The two; ``None`` if a training of either has no score.
    """
    gaps, paired = [], []
    for one, other in zip(runs, others, strict=True):
        if one.score is None or other.score is None:
            return None
        gaps.append(one.score - other.score)
        own, its = one.components, other.components
        # Earlier versions have kept rows of several tasks where users are kept.
        if own is not None and its is not None and own.shape == its.shape:
            paired.append(own - its)
    differences = torch.tensor(gaps, dtype=torch.float64)
    components = torch.stack(paired) if len(paired) == len(gaps) else None
    return float(differences.mean()), seeds_standard_error(differences, components)


def _is_equal(best: Sequence[FinalistRun], other: Sequence[FinalistRun]) -> bool:
    found = difference_of(best, other)
    return found is not None and found[0] <= found[1]
