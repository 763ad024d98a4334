"""Screening: sorts programs by their gradient on a probe of predictions, before any of them is trained."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightning_modules.losses.formulas.nodes import Constant, Variable
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import Operator
from lightning_modules.search.gradient_signatures import SignatureIndex
from lightning_modules.search.space import Programs, SearchSpace


class Evaluated(NamedTuple):
    """Loss and its derivative by the prediction at every point, both ``[count, points]``."""

    value: Tensor
    gradient: Tensor


def evaluate(programs: Programs, space: SearchSpace, pred: Tensor, label: Tensor, numerics: Numerics) -> Evaluated:
    """Compute every program's loss and its derivative by ``pred``.

    The derivative is taken in forward mode through the functions that :class:`FormulaLoss` trains with, a node at a
    time for all programs that apply the same operator there; nodes that do not affect a result are skipped.

    Args:
        programs: The programs.
        space: Their search space.
        pred: Predicted probabilities, floating point ``[points]``.
        label: Labels of the same shape and type.
        numerics: Numeric protection of each node.
    """
    count = len(programs)
    values, gradients = _leaf_rows(space, count, pred, label)
    with forward_ad.dual_level():
        # torch adds a number without a derivative in Python, which takes half the time of everything here.
        eps = forward_ad.make_dual(pred.new_tensor(numerics.eps), pred.new_zeros(()))
        for operator, target, sources in _applications(programs, space):
            operands = (
                forward_ad.make_dual(values.index_select(0, rows), gradients.index_select(0, rows))
                for rows in sources.unbind(1)
            )
            result = forward_ad.unpack_dual(numerics.clamp(operator(*operands, eps=eps)))
            values.index_copy_(0, target, result.primal)
            gradients.index_copy_(0, target, result.tangent)
    return Evaluated(values[-count:], gradients[-count:])


def _applications(programs: Programs, space: SearchSpace) -> Iterator[tuple[Operator, Tensor, Tensor]]:
    """Yield an operator, the rows ``[k]`` that it fills, and the rows ``[k, arity]`` that it reads, node by node."""
    count, leaves = len(programs), len(space.leaves)
    node, program = programs.used(leaves).t().nonzero(as_tuple=True)
    application = node * len(space.operators) + programs.operators[program, node]
    order = application.argsort(stable=True)
    targets = ((leaves + node) * count + program)[order]
    sources = (programs.operands[program, node] * count + program[:, None])[order]
    counts = torch.bincount(application, minlength=space.nodes * len(space.operators)).tolist()
    operators = itertools.cycle(space.operators)
    for operator, target, source in zip(operators, targets.split(counts), sources.split(counts), strict=False):
        if len(target):
            yield operator, target, source[:, : operator.arity]


def _leaf_rows(space: SearchSpace, count: int, pred: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and gradients of all positions, ``[positions * count, points]``, with only the leaves filled in."""
    values = torch.empty((len(space.leaves) + space.nodes) * count, len(pred), dtype=pred.dtype)
    gradients = torch.zeros_like(values)
    for position, leaf in enumerate(space.leaves):
        rows = slice(position * count, (position + 1) * count)
        values[rows] = leaf.value if isinstance(leaf, Constant) else {"pred": pred, "label": label}[leaf.name]
        gradients[rows] = float(not isinstance(leaf, Constant) and leaf.name == "pred")
    return values, gradients


class ScreeningResult(IntEnum):
    """The result of screening a formula."""

    TRAINABLE = 0
    ZERO_GRADIENT = 1
    WRONG_DIRECTION = 2
    DUPLICATE = 3


@dataclass(frozen=True)
class Screened:
    """The results of screening a batch of programs, one entry per program.

    Attributes:
        result: A :class:`ScreeningResult`, int64 ``[count]``.
        right_share: Share of the 2 x probes gradient signs that are right, float64 ``[count]``.
        joint_share: Share of the probes at which the signs for both labels are right together, float64 ``[count]``.
        signature: Number of the gradient signature, int64 ``[count]``; equal for programs that train alike.
        occurrences: How often that signature was sampled so far, this program included, int64 ``[count]``.
        gradient: Derivative of the loss by the prediction on the probe, float64 ``[count, points]``.
    """

    result: Tensor
    right_share: Tensor
    joint_share: Tensor
    signature: Tensor
    occurrences: Tensor
    gradient: Tensor

    @staticmethod
    def concatenate(parts: Sequence["Screened"]) -> "Screened":
        """Join batches one after the other."""
        return Screened(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Screened)))


class Screening:
    """Screens programs by their gradient on a probe of predictions, each combined with both labels.

    The thresholds are those of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160). A gradient sign
    is right if it is negative for label 1 and positive for label 0.

    Args:
        space: The search space.
        numerics: Numeric protection of each node.
        generator: Samples the probe's predictions, uniform in [0.1, 0.9].
        probes: Number of predictions.
        tolerance: A gradient that is nowhere larger counts as zero; gradients that nowhere differ more are duplicates.
        least_right_share: Formulas with a smaller share of right signs have the wrong direction; 0 disables the check.
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
    ) -> None:
        self.space = space
        self.numerics = numerics
        self.tolerance = tolerance
        self.least_right_share = least_right_share
        predictions = 0.1 + 0.8 * torch.rand(probes, generator=generator, dtype=torch.float64)
        self._pred = predictions.repeat(2)
        self._label = torch.cat([torch.zeros(probes), torch.ones(probes)]).double()
        self._signatures = SignatureIndex(2 * probes, tolerance)
        self._occurrences = torch.zeros(0, dtype=torch.int64)
        self._taken = torch.zeros(0, dtype=torch.bool)

    def screen(self, programs: Programs) -> Screened:
        """Screen a batch; a program is a duplicate of a trained one, or of an earlier one in the batch."""
        gradient = evaluate(programs, self.space, self._pred, self._label, self.numerics).gradient
        right = torch.stack([gradient[:, self._label == 0] > 0, gradient[:, self._label == 1] < 0])
        right_share = right.double().mean((0, 2))
        signature = self._signatures.number(gradient)
        self._count(signature)
        result = torch.full((len(programs),), int(ScreeningResult.TRAINABLE))
        result[self._taken[signature] | ~first_of_each(signature)] = ScreeningResult.DUPLICATE
        # A share equal to the threshold passes whatever its rounding.
        result[right_share < self.least_right_share - 1e-9] = ScreeningResult.WRONG_DIRECTION
        result[~(gradient.abs().amax(1) >= self.tolerance)] = ScreeningResult.ZERO_GRADIENT
        joint_share = right.all(0).double().mean(1)
        return Screened(result, right_share, joint_share, signature, self._occurrences[signature], gradient)

    def sieve(self, programs: Programs, least_joint_share: float) -> Programs:
        """Return all programs with at least a joint share, and few others; they are not counted as sampled.

        So many probes are looked at that the signs are right together at one of them for every such program.
        """
        variables = [isinstance(leaf, Variable) for leaf in self.space.leaves]
        programs = programs[programs.reads(len(variables))[:, variables].all(1)]
        probes = len(self._pred) // 2
        looked_at = min(probes, probes - math.ceil(least_joint_share * probes - 1e-9) + 1)
        chosen = torch.arange(looked_at) + probes * torch.arange(2)[:, None]
        pred, label = self._pred[chosen.flatten()], self._label[chosen.flatten()]
        gradient = evaluate(programs, self.space, pred, label, self.numerics).gradient
        return programs[((gradient[:, :looked_at] > 0) & (gradient[:, looked_at:] < 0)).any(1)]

    def take(self, signature: Tensor) -> None:
        """Mark signatures as trained, so that later programs that have them are duplicates."""
        self._taken[signature] = True

    def state_dict(self) -> dict[str, Tensor]:
        """Return the signatures, how often each was sampled, and which are trained."""
        return {"signatures": self._signatures.known, "drawn": self._occurrences, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore a state that :meth:`state_dict` returned; the probe stays that of the generator."""
        self._signatures.restore(state["signatures"])
        self._occurrences, self._taken = state["drawn"], state["taken"]

    def _count(self, signature: Tensor) -> None:
        missing = len(self._signatures) - len(self._occurrences)
        self._taken = torch.cat([self._taken, self._taken.new_zeros(missing)])
        self._occurrences = torch.cat([self._occurrences, self._occurrences.new_zeros(missing)])
        self._occurrences += torch.bincount(signature, minlength=len(self._occurrences))


def first_of_each(numbers: Tensor) -> Tensor:
    """Mark the first occurrence of each number, bool ``[count]``."""
    values, group = torch.unique(numbers, return_inverse=True)
    positions = torch.arange(len(numbers))
    first = torch.full((len(values),), len(numbers)).scatter_reduce_(0, group, positions, "amin")
    return first[group] == positions
