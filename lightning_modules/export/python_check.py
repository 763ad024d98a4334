"""Compares an exported Python module with the loss that it was written from."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path

import torch
from torch import Tensor

from lightning_modules.losses import (
    OPERATOR_BY_NAME,
    POINTWISE,
    RANKING,
    Formula,
    FormulaBased,
    FormulaLoss,
    Operation,
    RankingFormulaLoss,
    Variable,
)

LossFunction = Callable[..., Tensor]

# Gradients along several paths from pred may be added in another order, and each sum rounds by half the type's eps.
_ROUNDINGS = 64
_ROWS = 100
_NOT_WRITTEN = "It was not written; please report the formula as a defect."


class _Loader(SourceFileLoader):
    """Imports a source file without caching its byte code."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Discard the byte code."""


def check_module(path: Path, loss: FormulaBased) -> None:
    """Import the module and compare its ``loss`` with the given one.

    They are compared over probabilities from 0 to 1 and both labels, or over scores of rows of 1 and 8 negatives.

    Raises:
        RuntimeError: If a value differs, or a gradient by more than rounding.
    """
    written = _imported(path)
    for dtype in (torch.float32, torch.float64):
        _CHECKS[loss.dialect.name](written, loss, dtype)


def _check_predictions(written: LossFunction, loss: FormulaLoss, dtype: torch.dtype) -> None:
    pred, label = _grid(dtype)
    value, gradient = _with_gradient(written, pred, label)
    right_value, right_gradient = _with_gradient(loss, pred, label)
    tolerance = _ROUNDINGS * torch.finfo(dtype).eps * _gradient_scale(loss, pred, label)
    _compare("value", value, right_value, torch.zeros_like(pred), pred, label)
    _compare("gradient", gradient, right_gradient, tolerance, pred, label)


def _check_scores(written: LossFunction, loss: RankingFormulaLoss, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    names = [name for name in ("beta", "log_popularity") if name in loss.formula.variables]
    for negatives in (1, 8):
        shapes = ((_ROWS,), (_ROWS, negatives), *((_ROWS,) for _ in names))
        given = [2 * torch.rand(shape, generator=generator, dtype=dtype) - 1 for shape in shapes]
        found = _by_scores(written, *given)
        right = _by_scores(partial(_value, loss, names), *given)
        for what, each, other in zip(("value", "gradient", "gradient"), found, right, strict=True):
            # The operations are the same ones, so that values are too; gradients may be added in another order.
            tolerance = 0.0 if what == "value" else torch.finfo(dtype).eps ** 0.5 * _largest(other)
            same = torch.isclose(each, other, rtol=0, atol=tolerance, equal_nan=True)
            if not same.all():
                raise RuntimeError(
                    f"the module differs from the formula in {what} for rows of {negatives} negatives in {dtype}: "
                    f"{each[~same][0].item()} instead of {other[~same][0].item()}. {_NOT_WRITTEN}"
                )


def _value(
    loss: RankingFormulaLoss, names: Sequence[str], positive: Tensor, negative: Tensor, *others: Tensor
) -> Tensor:
    return loss.value_of(positive, negative, None, dict(zip(names, others, strict=True)))


def _largest(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if len(finite) else 0.0


def _by_scores(function: LossFunction, positive: Tensor, negative: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Return the loss, and its derivatives by the scores."""
    scores = [each.clone().requires_grad_() for each in (positive, negative)]
    value = function(*scores, *others)
    return value.detach(), *torch.autograd.grad(value.sum(), scores, materialize_grads=True)


_CHECKS: Mapping[str, Callable[..., None]] = {POINTWISE.name: _check_predictions, RANKING.name: _check_scores}


def _imported(path: Path) -> LossFunction:
    loader = _Loader("written_loss", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    loss: LossFunction = module.loss
    return loss


def _grid(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    near_ends = torch.tensor([1e-7, 1e-6, 1e-5, 1e-4, 1e-3], dtype=dtype)
    pred = torch.cat([torch.linspace(0, 1, 201, dtype=dtype), near_ends, 1 - near_ends])
    return pred.repeat(2), torch.tensor([0.0, 1.0], dtype=dtype).repeat_interleave(len(pred))


def _with_gradient(function: LossFunction, pred: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    pred = pred.clone().requires_grad_()
    value = function(pred, label)
    (gradient,) = torch.autograd.grad(value.sum(), pred)
    return value.detach(), gradient


def _gradient_scale(loss: FormulaLoss, pred: Tensor, label: Tensor) -> Tensor:
    """Return the sum of absolute gradients over all paths from ``pred`` to the loss, which bounds their rounding.

    The gradient itself does not, since paths may cancel.
    """
    values: list[Tensor] = []
    scales: list[Tensor] = []
    for node in loss.formula.nodes:
        if isinstance(node, Operation):
            operands = [values[operand].detach().requires_grad_() for operand in node.operands]
            value = loss.numerics.clamp(OPERATOR_BY_NAME[node.operator](*operands, eps=loss.numerics.eps))
            slopes = torch.autograd.grad(value.sum(), operands)
            terms = [slope.abs() * scales[operand] for slope, operand in zip(slopes, node.operands, strict=True)]
            scale = torch.stack(terms).sum(dim=0)
        else:
            value = Formula((node,)).evaluate(pred, label, loss.numerics)
            scale = torch.full_like(pred, float(node == Variable("pred")))
        values.append(value)
        scales.append(scale)
    return scales[-1]


def _compare(what: str, found: Tensor, right: Tensor, tolerance: Tensor, pred: Tensor, label: Tensor) -> None:
    same = (found == right) | (found.isnan() & right.isnan()) | ((found - right).abs() <= tolerance)
    if same.all():
        return
    place = int((~same).nonzero()[0])
    raise RuntimeError(
        f"the module differs from the formula in {what} at pred = {pred[place].item()}, label = {label[place].item()} "
        f"in {pred.dtype}: {found[place].item()} instead of {right[place].item()}. {_NOT_WRITTEN}"
    )
