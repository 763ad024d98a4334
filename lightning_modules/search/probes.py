"""Probes: predictions, or scores, at which programs are screened by the direction of their gradient."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from lightning_modules.losses import ListwiseLoss, Loss, LossObject
from lightning_modules.losses.formulas.dialect import POINTWISE, RANKING
from lightning_modules.losses.formulas.nodes import Variable
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.search.gradient_limit import GradientLimit
from lightning_modules.search.loss_gradients import gradient_by_prediction
from lightning_modules.search.program_gradients import evaluate
from lightning_modules.search.score_probe import ScoreRows
from lightning_modules.search.space import Programs, SearchSpace


class Limit(Protocol):
    """Tells programs whose derivatives are larger than wanted."""

    def exceeded(self, programs: Programs) -> Tensor:
        """Mark the programs with larger derivatives, or with some that are not finite, bool ``[count]``."""


class Probe(ABC):
    """Points at which programs are derived, and what is right there.

    Args:
        space: The search space.

    Attributes:
        points: Number of derivatives of a program.
    """

    points: int

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    @abstractmethod
    def gradient(self, programs: Programs, numerics: Numerics) -> Tensor:
        """Return the derivatives of every program, float64 ``[count, points]``."""

    @abstractmethod
    def gradient_of(self, loss: LossObject) -> Tensor:
        """Return the derivatives of a loss, float64 ``[points]``."""

    @abstractmethod
    def right(self, gradient: Tensor) -> Tensor:
        """Return which of the two signs of every probe are right, bool ``[2, count, probes]``."""

    def without_scale(self, gradient: Tensor, least: float) -> Tensor:  # noqa: ARG002 (of those that have several)
        """Return derivatives, ``[count, points]``, of which those of programs that train alike have one direction.

        Args:
            gradient: The derivatives.
            least: What is nowhere larger counts as 0.
        """
        return gradient

    @abstractmethod
    def limit(self, numerics: Numerics, largest: float) -> Limit:
        """Return what tells programs with larger derivatives than wanted."""

    @abstractmethod
    def sieve(self, programs: Programs, numerics: Numerics, least_joint_share: float) -> Programs:
        """Return all programs that are right at a share of the probes, and few others.

        So many probes are looked at that both signs are right at one of them for every such program.
        """

    def reading(self, programs: Programs, *variables: Sequence[str]) -> Programs:
        """Return the programs that read at least one variable of each kind."""
        reads = programs.reads(len(self.space.leaves))
        for names in variables:
            chosen = torch.tensor([isinstance(leaf, Variable) and leaf.name in names for leaf in self.space.leaves])
            programs, reads = _kept(programs, reads, reads[:, chosen].any(1))
        return programs


def _kept(programs: Programs, reads: Tensor, kept: Tensor) -> tuple[Programs, Tensor]:
    return programs[kept], reads[kept]


class PredictionProbe(Probe):
    """Predictions, uniform in [0.1, 0.9], each combined with both labels.

    Args:
        space: The search space.
        generator: Samples the predictions.
        probes: Number of predictions.
        temperature: Not looked at.
    """

    def __init__(self, space: SearchSpace, generator: torch.Generator, probes: int, temperature: float) -> None:  # noqa: ARG002
        super().__init__(space)
        predictions = 0.1 + 0.8 * torch.rand(probes, generator=generator, dtype=torch.float64)
        self.points = 2 * probes
        self._pred = predictions.repeat(2)
        self._label = torch.cat([torch.zeros(probes), torch.ones(probes)]).double()

    def gradient(self, programs: Programs, numerics: Numerics) -> Tensor:
        """Return the derivatives by the prediction: those for label 0 first."""
        return evaluate(programs, self.space, self._pred, self._label, numerics).gradient

    def gradient_of(self, loss: LossObject) -> Tensor:
        """Return the derivatives by the prediction."""
        return gradient_by_prediction(cast(Loss, loss), self._pred, self._label)

    def right(self, gradient: Tensor) -> Tensor:
        """Return where the derivative is positive for label 0, and negative for label 1."""
        return torch.stack([gradient[:, self._label == 0] > 0, gradient[:, self._label == 1] < 0])

    def limit(self, numerics: Numerics, largest: float) -> Limit:
        """Return what looks at predictions from 0 to 1."""
        return GradientLimit(self.space, numerics, largest)

    def sieve(self, programs: Programs, numerics: Numerics, least_joint_share: float) -> Programs:
        """Return all programs that are right at a share of the probes, and few others."""
        variables = [leaf.name for leaf in self.space.leaves if isinstance(leaf, Variable)]
        programs = self.reading(programs, *([name] for name in variables))
        probes = len(self._pred) // 2
        looked_at = _enough(probes, least_joint_share)
        chosen = torch.arange(looked_at) + probes * torch.arange(2)[:, None]
        pred, label = self._pred[chosen.flatten()], self._label[chosen.flatten()]
        gradient = evaluate(programs, self.space, pred, label, numerics).gradient
        return programs[((gradient[:, :looked_at] > 0) & (gradient[:, looked_at:] < 0)).any(1)]


class ScoreProbe(Probe):
    """Rows of a positive's score and those of 1, 8 or 64 negatives.

    A row is right, in both signs together, if the loss does not rise with the positive's score nor fall with any of the
    negatives', and falls and rises with them in some row. Losses without a gradient where a row is ranked well are
    right, and those that are right for the positive alone are not.

    Args:
        space: The search space.
        generator: Samples the scores.
        probes: Not looked at.
        temperature: What variables that end in ``_t`` are divided by.
    """

    def __init__(self, space: SearchSpace, generator: torch.Generator, probes: int, temperature: float) -> None:  # noqa: ARG002
        super().__init__(space)
        self._rows = ScoreRows.drawn(space, generator, temperature)
        self.points = self._rows.points

    def gradient(self, programs: Programs, numerics: Numerics) -> Tensor:
        """Return the derivatives by the scores: those of positives first; see :class:`ScoreRows`."""
        return self._rows.gradient(programs, numerics)

    def gradient_of(self, loss: LossObject) -> Tensor:
        """Return the derivatives by the scores."""
        return self._rows.gradient_of(cast(ListwiseLoss, loss))

    def right(self, gradient: Tensor) -> Tensor:
        """Return where the loss falls with the positive's score, and rises with all of the negatives'."""
        falls, rises = self._rows.directions(gradient)
        moves = gradient.abs() > 0
        by_positive, by_negative = moves[:, : self._rows.count].any(1), moves[:, self._rows.count :].any(1)
        right = falls & rises & (by_positive & by_negative)[:, None]
        return right.expand(2, -1, -1)

    def without_scale(self, gradient: Tensor, least: float) -> Tensor:
        """Return derivatives of one length for every number of negatives, of which a training has one alone.

        So ``sum(x)`` is ``mean(x)``.
        """
        return self._rows.in_unit_blocks(gradient, least)

    def limit(self, numerics: Numerics, largest: float) -> Limit:
        """Return what looks at the rows."""
        return RowLimit(self._rows, numerics, largest)

    def sieve(self, programs: Programs, numerics: Numerics, least_joint_share: float) -> Programs:
        """Return all programs that are right at a share of the rows, and few others."""
        programs = self.reading(programs, *_READ)
        rows = self._rows.first(_enough(self._rows.count, least_joint_share))
        falls, rises = rows.directions(rows.gradient(programs, numerics))
        return programs[(falls & rises).any(1)]


class RowLimit:
    """Tells programs with larger derivatives by a score than wanted.

    Args:
        rows: The scores.
        numerics: Numeric protection of each node.
        largest: The largest derivative that is allowed.
    """

    def __init__(self, rows: ScoreRows, numerics: Numerics, largest: float) -> None:
        self.rows = rows
        self.numerics = numerics
        self.largest = largest

    def exceeded(self, programs: Programs) -> Tensor:
        """Mark the programs with larger derivatives, or with some that are not finite, bool ``[count]``."""
        return ~(self.rows.gradient(programs, self.numerics).abs().amax(1) <= self.largest)


#: A loss that ranks depends on both.
_READ = (("pos", "pos_t", "gap", "gap_t"), ("neg", "neg_t", "gap", "gap_t"))
_PROBES: Mapping[str, Callable[[SearchSpace, torch.Generator, int, float], Probe]] = {
    POINTWISE.name: PredictionProbe,
    RANKING.name: ScoreProbe,
}


def probe_of(space: SearchSpace, generator: torch.Generator, probes: int, temperature: float) -> Probe:
    """Return the probe for the dialect of a space.

    Args:
        space: The space.
        generator: Samples the probe.
        probes: Number of predictions, where it has predictions.
        temperature: What formulas of scores divide them by.
    """
    return _PROBES[space.dialect.name](space, generator, probes, temperature)


def _enough(probes: int, share: float) -> int:
    """Return of how many probes one is among the share of all, whichever these are."""
    return min(probes, probes - math.ceil(share * probes - 1e-9) + 1)
