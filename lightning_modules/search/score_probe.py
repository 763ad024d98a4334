"""Rows of scores at which programs of scores are derived."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.losses import ListwiseLoss
from lightning_modules.losses.formulas.nodes import Constant, Variable
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import NegativeScores, Operator
from lightning_modules.losses.formulas.score_leaves import score_leaves
from lightning_modules.search.loss_gradients import gradient_by_scores
from lightning_modules.search.program_gradients import leaf_gradients
from lightning_modules.search.space import Programs, SearchSpace

#: Numbers of rows and of each one's negatives.
_BLOCKS = ((4, 1), (4, 8), (2, 64))
#: A derivative this much smaller than the largest of its kind is a rounding error.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ScoreBlock:
    """Rows of one number of negatives.

    Attributes:
        positive: Scores of the positives, float64 [rows, 1].
        negative: Scores of their negatives, float64 [rows, N].
        of_row: What variables that scores do not tell are in every row, float64 [rows, 1], by name.
    """

    positive: Tensor
    negative: Tensor
    of_row: dict[str, Tensor]

    @classmethod
    def drawn(cls, rows: int, count: int, generator: torch.Generator) -> "ScoreBlock":
        """Draw scores and quantiles, uniform in [-1, 1] as cosines are, and popularities of up to e^4 users."""
        positive, negative, beta, popularity = (
            torch.rand(rows, size, generator=generator, dtype=torch.float64) for size in (1, count, 1, 1)
        )
        return cls(2 * positive - 1, 2 * negative - 1, {"beta": 2 * beta - 1, "log_popularity": 4 * popularity})

    def first(self, rows: int) -> "ScoreBlock":
        """Return the first rows."""
        of_row = {name: value[:rows] for name, value in self.of_row.items()}
        return ScoreBlock(self.positive[:rows], self.negative[:rows], of_row)

    def leaves(self, space: SearchSpace, temperature: float) -> Tensor:
        """Return the values of a space's leaves for every negative, float64 [leaves, rows * N]."""
        names = [leaf.name for leaf in space.leaves if isinstance(leaf, Variable)]
        known = {**self.of_row, **score_leaves(names, self.positive, self.negative, temperature)}
        values = (
            torch.full_like(self.negative, leaf.value)
            if isinstance(leaf, Constant)
            else known[leaf.name].expand_as(self.negative)
            for leaf in space.leaves
        )
        return torch.stack([value.flatten() for value in values])


class ScoreRows:
    """Rows of 1, 8 and 64 negatives in one vector, in which every negative is a point.

    The derivatives of a program are those by every row's positive, and then those by every negative, each times the
    root of their number, so that the negatives of a row weigh as much as its positive.

    Args:
        space: The search space.
        blocks: The rows.
        temperature: What variables that end in ``_t`` are divided by.

    Attributes:
        count: Number of rows.
        points: Number of derivatives.
    """

    def __init__(self, space: SearchSpace, blocks: Sequence[ScoreBlock], temperature: float) -> None:
        self.space = space
        self.blocks = blocks
        self.temperature = temperature
        self.shapes = [block.negative.shape for block in blocks]
        self.sizes = [shape.numel() for shape in self.shapes]
        self.count = sum(rows for rows, _ in self.shapes)
        self.points = self.count + sum(self.sizes)
        rows = torch.tensor([shape[0] for shape in self.shapes])
        places = torch.arange(len(blocks))
        self._block = torch.cat([places.repeat_interleave(each) for each in (rows, torch.tensor(self.sizes))])
        self._leaves = torch.cat([block.leaves(space, temperature) for block in blocks], dim=1)
        self._negatives = [NegativeScores(block.negative / temperature) for block in blocks]
        sizes = [torch.full((shape.numel(),), float(shape[1]), dtype=torch.float64) for shape in self.shapes]
        self._number = torch.cat(sizes)
        self._by_positive, self._by_negative = self._slope(1.0, 0.0), self._slope(0.0, 1.0)

    @classmethod
    def drawn(cls, space: SearchSpace, generator: torch.Generator, temperature: float) -> "ScoreRows":
        """Draw the rows."""
        return cls(space, [ScoreBlock.drawn(*sizes, generator) for sizes in _BLOCKS], temperature)

    def first(self, rows: int) -> "ScoreRows":
        """Return the first rows, those with the fewest negatives."""
        blocks = []
        for block in self.blocks:
            blocks.append(block.first(rows))
            rows = max(0, rows - len(block.positive))
        return ScoreRows(self.space, [block for block in blocks if len(block.positive)], self.temperature)

    def gradient(self, programs: Programs, numerics: Numerics) -> Tensor:
        """Return the derivatives of every program, float64 ``[count, points]``."""
        slopes = leaf_gradients(
            programs,
            self.space,
            self._leaves,
            1 / self._number,
            lambda operator, operands: self._applied(operator, operands, numerics.eps),
            numerics,
        )
        by_positive = torch.einsum("l,lcp->cp", self._by_positive, slopes)
        by_negative = torch.einsum("l,lcp->cp", self._by_negative, slopes)
        of_rows = torch.cat([each.sum(2) for each in self._in_rows(by_positive)], dim=1)
        return torch.cat([of_rows, by_negative * self._number.sqrt()], dim=1)

    def gradient_of(self, loss: ListwiseLoss) -> Tensor:
        """Return the derivatives of a loss, float64 ``[points]``; a user's quantile is 0 for it."""
        found = [gradient_by_scores(loss, block.positive.squeeze(1), block.negative) for block in self.blocks]
        of_negatives = torch.cat([by_negative.flatten() for _, by_negative in found]) * self._number.sqrt()
        return torch.cat([*(by_positive for by_positive, _ in found), of_negatives])

    def in_unit_blocks(self, gradient: Tensor, least: float) -> Tensor:
        """Return derivatives divided by the length of those with as many negatives.

        Args:
            gradient: The derivatives, ``[count, points]``.
            least: A shorter length counts as 0, and its derivatives become 0.
        """
        squares = gradient.new_zeros(len(gradient), len(self.blocks)).index_add_(1, self._block, gradient**2)
        length = squares.sqrt()[:, self._block]
        return (gradient / length).masked_fill(length < least, 0.0)

    def directions(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return in which rows the loss never rises with the positive, and never falls with a negative.

        Args:
            gradient: The derivatives, ``[count, points]``.

        Returns:
            Two of bool ``[count, rows]``.
        """
        by_positive, by_negative = gradient[:, : self.count], gradient[:, self.count :]
        blocks = self._in_rows(by_negative)
        # One row's rounding errors are not measured by another's derivatives.
        largest = torch.cat([each.abs().amax(2) for each in blocks], dim=1)
        rounding = _ROUNDING * torch.maximum(largest, by_positive.abs())
        parts = rounding.split([rows for rows, _ in self.shapes], dim=1)
        rises = [(each >= -own[..., None]).all(2) for each, own in zip(blocks, parts, strict=True)]
        is_finite = gradient.isfinite().all(1, keepdim=True)
        return (by_positive <= rounding) & is_finite, torch.cat(rises, dim=1) & is_finite

    def _in_rows(self, values: Tensor) -> list[Tensor]:
        """Return values of points, ``[count, points]``, as those of the rows of each block, ``[count, rows, N]``."""
        parts = values.split(self.sizes, dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _applied(self, operator: Operator, operands: Sequence[Tensor], eps: float) -> Tensor:
        if not operator.aggregates:
            return operator(*operands, eps=eps)
        parts = [
            operator(part, eps=eps, negatives=negatives).expand_as(part).flatten(1)
            for part, negatives in zip(self._in_rows(operands[0]), self._negatives, strict=True)
        ]
        return torch.cat(parts, dim=1)

    def _slope(self, positive: float, negative: float) -> Tensor:
        """Return the change of every leaf with scores, which it is linear in: float64 [leaves]."""
        one = torch.ones(1, 1, dtype=torch.float64)
        nothing = dict.fromkeys(("beta", "log_popularity"), 0 * one)
        block = ScoreBlock(positive * one, negative * one, nothing)
        changes = block.leaves(self.space, self.temperature).squeeze(1)
        constant = torch.tensor([isinstance(leaf, Constant) for leaf in self.space.leaves])
        return changes.masked_fill(constant, 0.0)
