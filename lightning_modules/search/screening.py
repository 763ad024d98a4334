"""Screening: sorts programs by their gradient on a probe, before any of them is trained."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from torch import Tensor

from lightning_modules.losses import LossObject
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.search.gradient_signatures import DirectionIndex, GradientIndex, SignatureIndex
from lightning_modules.search.probes import probe_of
from lightning_modules.search.space import Programs, SearchSpace


class ScreeningResult(IntEnum):
    """The result of screening a formula."""

    TRAINABLE = 0
    ZERO_GRADIENT = 1
    WRONG_DIRECTION = 2
    DUPLICATE = 3
    LARGE_GRADIENT = 4
    TOO_LONG = 5


@dataclass(frozen=True)
class Screened:
    """The results of screening a batch of programs, one entry per program.

    Attributes:
        result: A :class:`ScreeningResult`, int64 ``[count]``.
        right_share: Share of the gradient signs that are right, two for every probe, float64 ``[count]``.
        joint_share: Share of the probes at which both signs are right together, float64 ``[count]``.
        signature: Number of the gradient signature, int64 ``[count]``; equal for programs that train alike.
        occurrences: How often that signature was sampled so far, this program included, int64 ``[count]``.
        gradient: Derivative of the loss by the prediction, or by the scores, on the probe, float64 ``[count, points]``.
    """

    result: Tensor
    right_share: Tensor
    joint_share: Tensor
    signature: Tensor
    occurrences: Tensor
    gradient: Tensor

    @property
    def unfit(self) -> Tensor:
        """Mark programs that are too steep or too long, whatever their signs, bool ``[count]``."""
        return (self.result == ScreeningResult.LARGE_GRADIENT) | (self.result == ScreeningResult.TOO_LONG)

    def __getitem__(self, which: Tensor) -> "Screened":
        return Screened(*(getattr(self, field.name)[which] for field in fields(self)))

    @staticmethod
    def concatenate(parts: Sequence["Screened"]) -> "Screened":
        """Join batches one after the other."""
        return Screened(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Screened)))


class Screening:
    """Screens programs by their gradient on a probe of predictions, each combined with both labels, or of scores.

    The thresholds are those of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160). A gradient sign
    is right if it is negative for label 1 and positive for label 0; or, by scores, if it is never positive for the
    positive, and never negative for its negatives.

    Args:
        space: The search space.
        numerics: Numeric protection of each node.
        generator: Samples the probe.
        probes: Number of predictions; a probe of scores has rows of its own.
        tolerance: A gradient that is nowhere larger counts as zero; gradients that nowhere differ more are duplicates.
        least_right_share: Formulas with a smaller share of right signs have the wrong direction; 0 disables the check.
        largest_gradient: Formulas with a larger derivative between .1 and .9, or one that is not finite between 0 and
            1, are not trained; None allows all.
        most_operators: Formulas with more operators, shared ones counted at each use, are not trained; None allows all.
        by_direction: Compare gradients by their direction instead: those with a cosine above .9998 are duplicates; of
            scores, whatever their lengths with 1, 8 and 64 negatives.
        temperature: What formulas of scores divide them by.
    """

    def __init__(
        self,
        space: SearchSpace,
        numerics: Numerics,
        generator: torch.Generator,
        *,
        probes: int = 20,
        tolerance: float = 1e-4,
        least_right_share: float = 0.6,
        largest_gradient: float | None = None,
        most_operators: int | None = None,
        by_direction: bool = False,
        temperature: float = DEFAULT_TEMPERATURE,
    ) -> None:
        self.space = space
        self.numerics = numerics
        self.tolerance = tolerance
        self.least_right_share = least_right_share
        self.most_operators = most_operators
        self._probe = probe_of(space, generator, probes, temperature)
        self._by_direction = by_direction
        index: type[GradientIndex] = DirectionIndex if by_direction else SignatureIndex
        self._signatures = index(self._probe.points, tolerance)
        self._occurrences = torch.zeros(0, dtype=torch.int64)
        self._taken = torch.zeros(0, dtype=torch.bool)
        self._limit = None if largest_gradient is None else self._probe.limit(numerics, largest_gradient)
        # Of every signature, 1 if its gradient is too large, 0 if not, and -1 while that is unknown.
        self._large = torch.zeros(0, dtype=torch.int64)

    def screen(self, programs: Programs) -> Screened:
        """Screen a batch; a program is a duplicate of a trained one, or of an earlier one in the batch."""
        gradient = self._probe.gradient(programs, self.numerics)
        right = self._probe.right(gradient)
        right_share = right.double().mean((0, 2))
        signature = self._signatures.number(self._compared(gradient))
        self._count(signature)
        too_long = self._too_long(programs)
        result = torch.full((len(programs),), int(ScreeningResult.TRAINABLE))
        result[self._taken[signature] | ~_first_fit(signature, too_long)] = ScreeningResult.DUPLICATE
        result[too_long] = ScreeningResult.TOO_LONG
        # A share equal to the threshold passes whatever its rounding.
        result[right_share < self.least_right_share - 1e-9] = ScreeningResult.WRONG_DIRECTION
        result[~(gradient.abs().amax(1) >= self.tolerance)] = ScreeningResult.ZERO_GRADIENT
        self._look_for_large_gradients(programs, signature, result)
        joint_share = right.all(0).double().mean(1)
        return Screened(result, right_share, joint_share, signature, self._occurrences[signature], gradient)

    def _too_long(self, programs: Programs) -> Tensor:
        if self.most_operators is None:
            return torch.zeros(len(programs), dtype=torch.bool)
        return programs.sizes(len(self.space.leaves)) > self.most_operators

    def _look_for_large_gradients(self, programs: Programs, signature: Tensor, result: Tensor) -> None:
        """Change the result of programs that are too steep; only signatures that would be trained are looked at."""
        if self._limit is None:
            return
        chosen = result == ScreeningResult.TRAINABLE
        new = (chosen & (self._large[signature] < 0)).nonzero().squeeze(1)
        self._large[signature[new]] = self._limit.exceeded(programs[new]).long()
        chosen |= result == ScreeningResult.DUPLICATE
        result[chosen & (self._large[signature] > 0)] = ScreeningResult.LARGE_GRADIENT

    def sieve(self, programs: Programs, least_joint_share: float) -> Programs:
        """Return all programs with at least a joint share, and few others; they are not counted as sampled."""
        return self._probe.sieve(programs, self.numerics, least_joint_share)

    def gradient_of(self, loss: LossObject) -> Tensor:
        """Return the derivatives on the probe of a loss that need not be a program, float64 ``[points]``."""
        return self._probe.gradient_of(loss)

    def take_loss(self, loss: LossObject) -> int:
        """Mark a loss as trained that need not be a formula, and return the number of its signature."""
        signature = self._signatures.number(self._compared(self.gradient_of(loss)[None]))
        self._count(signature[:0])
        self.take(signature)
        return int(signature)

    def _compared(self, gradient: Tensor) -> Tensor:
        """Return what is compared of derivatives, ``[count, points]``."""
        return self._probe.without_scale(gradient, self.tolerance) if self._by_direction else gradient

    def take(self, signature: Tensor) -> None:
        """Mark signatures as trained, so that later programs that have them are duplicates."""
        self._taken[signature] = True

    def state_dict(self) -> dict[str, Tensor]:
        """Return the signatures, how often each was sampled, which are trained, and which are known to be too steep."""
        state = {"signatures": self._signatures.known, "drawn": self._occurrences, "taken": self._taken}
        return state if self._limit is None else {**state, "large": self._large}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore a state that :meth:`state_dict` returned; the probe stays that of the generator."""
        self._signatures.restore(state["signatures"])
        self._occurrences, self._taken = state["drawn"], state["taken"]
        self._large = state.get("large", torch.full_like(self._occurrences, -1))

    def _count(self, signature: Tensor) -> None:
        missing = len(self._signatures) - len(self._occurrences)
        self._taken = torch.cat([self._taken, self._taken.new_zeros(missing)])
        self._large = torch.cat([self._large, self._large.new_full((missing,), -1)])
        self._occurrences = torch.cat([self._occurrences, self._occurrences.new_zeros(missing)])
        self._occurrences += torch.bincount(signature, minlength=len(self._occurrences))


def _first_fit(numbers: Tensor, unfit: Tensor) -> Tensor:
    """Mark the first occurrence of each number that is not unfit, and all unfit ones, bool ``[count]``."""
    return first_of_each(torch.where(unfit, -1 - torch.arange(len(numbers)), numbers))


def first_of_each(numbers: Tensor) -> Tensor:
    """Mark the first occurrence of each number, bool ``[count]``."""
    values, group = torch.unique(numbers, return_inverse=True)
    positions = torch.arange(len(numbers))
    first = torch.full((len(values),), len(numbers)).scatter_reduce_(0, group, positions, "amin")
    return first[group] == positions
