"""What losses want and what models give them."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

#: Of label 1, or ``difference``: a first score minus a second one, the logit of the first being preferred.
Prediction = Literal["probability", "logit", "difference"]

#: What a model gives serves losses that want any of these.
SERVED: Mapping[Prediction, tuple[Prediction, ...]] = {
    "probability": ("probability",),
    "logit": ("probability", "logit"),
    "difference": ("probability", "logit", "difference"),
}

_BOUNDED = ("Sigmoid", "Softmax")
#: Operations that make probabilities of probabilities: they move, choose or bound values.
_KEEPING = (
    *("Cat", "Clamp", "ClampMax", "ClampMin", "Clone", "Expand", "Index", "IndexSelect", "Permute", "ReshapeAlias"),
    *("Select", "Slice", "Split", "Squeeze", "Stack", "T", "ToCopy", "Transpose", "Unbind", "UnsafeView", "Unsqueeze"),
    "View",
)


class MisfitError(ValueError):
    """A loss that a model cannot be trained on."""


def given_by(model: nn.Module) -> Prediction:
    """Return what a model gives its loss.

    Raises:
        MisfitError: If the model does not say so, or has no loss.
    """
    name = type(model).__name__
    if not hasattr(model, "loss"):
        raise MisfitError(f"{name} has no attribute 'loss' that its training step would use, so no loss can be tried")
    gives: Any = getattr(model, "gives", None)
    if gives not in SERVED:
        raise MisfitError(
            f"{name} does not say what it gives its loss (gives is {gives!r}): set gives = 'logit' in the class and "
            "call self.loss.from_logit(logit, label) in the training step, which serves every loss of one prediction; "
            "or gives = 'probability' if it calls self.loss(probability, label), which serves formulas but not BCE"
        )
    given: Prediction = gives
    return given


def refuse_probability(prediction: Tensor) -> None:
    """Refuse a logit that autograd knows to be a probability; data are not looked at, so that no step waits.

    Raises:
        MisfitError: If it comes out of a sigmoid or a softmax.
    """
    if torch.compiler.is_compiling():
        return
    if _comes_of_probability(prediction.grad_fn):
        raise MisfitError(
            "the loss was given a probability where a logit is due: it comes out of a sigmoid or softmax. Call "
            "self.loss.from_logit(logit, label) with what goes into that, and set gives = 'logit'"
        )


def _comes_of_probability(node: Any) -> bool:
    """Tell of a node of autograd's graph whether it makes, or keeps, values between 0 and 1."""
    while node is not None:
        name = node.name().partition("Backward")[0]
        if name == "Mul":
            return all(_comes_of_probability(factor) for factor, _ in node.next_functions)
        if name not in _KEEPING:
            return name in _BOUNDED
        node = node.next_functions[0][0]
    return False


@torch.no_grad()
def refuse_logit(prediction: Tensor) -> None:
    """Refuse values that are no probabilities, for a loss that wants those; waits for the device.

    Raises:
        MisfitError: If a value lies outside [0, 1].
    """
    outside = prediction[(prediction < 0) | (prediction > 1)]
    if len(outside):
        raise MisfitError(
            f"the loss wants probabilities and was given {float(outside[0]):g}: call self.loss.from_logit(logit, "
            "label) in the training step, which makes of logits what any loss wants"
        )
