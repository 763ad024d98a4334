"""Kinds of predictions: what losses want, what models give, and checks that the two fit."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

#: A probability or logit of label 1, a ``difference`` of two scores, the logit of the first being preferred, or the
#: ``scores`` of an item that a user has and of items, the negatives, that it does not have.
Prediction = Literal["probability", "logit", "difference", "scores"]

#: How messages name them.
NAMES: Mapping[Prediction, str] = {
    "probability": "a probability",
    "logit": "a logit",
    "difference": "a difference",
    "scores": "scores of an item and its negatives",
}

#: The kinds that losses may want of a model, by what it gives.
SERVED: Mapping[Prediction, tuple[Prediction, ...]] = {
    "probability": ("probability",),
    "logit": ("probability", "logit"),
    "difference": ("probability", "logit", "difference"),
    "scores": ("scores",),
}

_BOUNDED = ("Sigmoid", "Softmax")
#: Operations that keep probabilities probabilities, since they move, select or bound values.
_KEEPING = (
    *("Cat", "Clamp", "ClampMax", "ClampMin", "Clone", "Expand", "Index", "IndexSelect", "Permute", "ReshapeAlias"),
    *("Select", "Slice", "Split", "Squeeze", "Stack", "T", "ToCopy", "Transpose", "Unbind", "UnsafeView", "Unsqueeze"),
    "View",
)


class MisfitError(ValueError):
    """A loss and a model that do not fit each other."""


def given_by(model: nn.Module) -> Prediction:
    """Return the kind of prediction that a model gives its loss.

    Raises:
        MisfitError: If the model has no attribute ``gives`` with such a kind, or no loss.
    """
    name = type(model).__name__
    if not hasattr(model, "loss"):
        raise MisfitError(f"{name} has no attribute 'loss' that its training step would use, so no loss can be tried")
    gives: Any = getattr(model, "gives", None)
    if gives not in SERVED:
        raise MisfitError(
            f"{name} does not say what it gives its loss (gives is {gives!r}): set gives = 'logit' in the class and "
            "call self.loss.from_logit(logit, label) in the training step, which serves every loss of one prediction; "
            "or gives = 'probability' if it calls self.loss(probability, label), which serves formulas but not BCE; "
            "or gives = 'scores' if it calls self.loss.of_batch(scored), which serves listwise losses"
        )
    given: Prediction = gives
    return given


def refuse_probability(prediction: Tensor) -> None:
    """Refuse a probability in place of a logit, by its autograd graph alone, without synchronizing the device.

    Raises:
        MisfitError: If the prediction is the output of a sigmoid or softmax.
    """
    if torch.compiler.is_compiling():
        return
    if _is_probability(prediction.grad_fn):
        raise MisfitError(
            "the loss was given a probability where a logit is due: it comes out of a sigmoid or softmax. Call "
            "self.loss.from_logit(logit, label) with what goes into that, and set gives = 'logit'"
        )


def _is_probability(node: Any) -> bool:
    """Return whether the output of an autograd node is known to lie between 0 and 1."""
    while node is not None:
        name = node.name().partition("Backward")[0]
        if name == "Mul":
            return all(_is_probability(factor) for factor, _ in node.next_functions)
        if name not in _KEEPING:
            return name in _BOUNDED
        node = node.next_functions[0][0]
    return False


@torch.no_grad()
def refuse_logit(prediction: Tensor) -> None:
    """Refuse values that are no probabilities; synchronizes the device.

    Raises:
        MisfitError: If a value lies outside [0, 1].
    """
    outside = prediction[(prediction < 0) | (prediction > 1)]
    if len(outside):
        raise MisfitError(
            f"the loss wants probabilities and was given {float(outside[0]):g}: call self.loss.from_logit(logit, "
            "label) in the training step, which makes of logits what any loss wants"
        )
