"""Compares an exported Python module with the loss that it was written from."""

import importlib.util
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path

import torch
from torch import Tensor

from lightning_modules.losses import OPERATOR_BY_NAME, Formula, FormulaLoss, Operation, Variable

LossFunction = Callable[[Tensor, Tensor], Tensor]

# Gradients along several paths from pred may be added in another order, and each sum rounds by half the type's eps.
_ROUNDINGS = 64


class _Loader(SourceFileLoader):
    """Imports a source file without caching its byte code."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Discard the byte code."""


def check_module(path: Path, loss: FormulaLoss) -> None:
    """Import the module and compare its ``loss`` with the given one over probabilities from 0 to 1 and both labels.

    Raises:
        RuntimeError: If a value differs, or a gradient by more than rounding.
    """
    written = _imported(path)
    for dtype in (torch.float32, torch.float64):
        pred, label = _grid(dtype)
        value, gradient = _with_gradient(written, pred, label)
        right_value, right_gradient = _with_gradient(loss, pred, label)
        tolerance = _ROUNDINGS * torch.finfo(dtype).eps * _gradient_scale(loss, pred, label)
        _compare("value", value, right_value, torch.zeros_like(pred), pred, label)
        _compare("gradient", gradient, right_gradient, tolerance, pred, label)


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
        f"in {pred.dtype}: {found[place].item()} instead of {right[place].item()}. It was not written; "
        "please report the formula as a defect."
    )
