"""Lets a search set the loss of any Lightning module, whatever the module expects of it."""

import copy
from typing import Any, ClassVar, Literal, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_modules.losses import Loss, LossObject, MisfitError

#: What a module hands to its loss.
Given = Literal["logit", "probability"]

# The largest logit that a probability is taken for is about 16.
_EPSILON = 1e-7


def adapt(module: pl.LightningModule, gives: Given = "logit") -> pl.LightningModule:
    """Return a copy of a module whose attribute ``loss`` takes the losses of this project.

    The module calls ``self.loss(prediction, label)`` in its training step, as with ``torch.nn.BCEWithLogitsLoss``. It
    is given the mean over the samples, or what the ``reduction`` of the loss that it has says.

    Args:
        module: Any Lightning module with an attribute ``loss``.
        gives: What it hands to its loss: the logit, or the probability of label 1.

    Raises:
        MisfitError: If the module has no attribute ``loss``.
        ValueError: If ``gives`` is neither of the two.

    Examples:
        >>> import torch, lossmith, pytorch_lightning as pl
        >>> class Net(pl.LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.loss = torch.nn.BCEWithLogitsLoss()
        >>> net = lossmith.adapt(Net(), gives="logit")
        >>> net.loss = lossmith.losses.MSE()
        >>> net.loss(torch.zeros(2), torch.tensor([0, 1]))
        tensor(0.2500)
    """
    if gives not in ("logit", "probability"):
        raise ValueError(f"gives is {gives!r}, but a module gives its loss a 'logit' or a 'probability'")
    if not hasattr(module, "loss"):
        raise MisfitError(
            f"{type(module).__name__} has no attribute 'loss' that its training step would use, so no loss can be "
            "tried: let it call self.loss(prediction, label) and set self.loss in its __init__"
        )
    adapted = copy.deepcopy(module)
    adapted.__class__ = _adapted_class(type(module), gives)
    adapted.loss = module.loss
    return adapted


class Adapted(pl.LightningModule):
    """What a configuration file names for a module that :func:`adapt` has been given; building it returns that.

    Args:
        module: Any Lightning module with an attribute ``loss``.
        gives: What it hands to its loss.
    """

    def __new__(cls, module: pl.LightningModule, gives: Given = "logit") -> Any:
        """Return the adapted module."""
        return adapt(module, gives)

    def __init__(self, module: pl.LightningModule, gives: Given = "logit") -> None:  # noqa: ARG002
        super().__init__()


class LossSlot:
    """Wraps the losses that are set as ``loss``; a mixin before the class of a module.

    Attributes:
        gives: What losses are given: always a logit.
        adapted_from: The class of the module.
        hands: What the module hands to its loss.
    """

    gives: ClassVar[str] = "logit"
    adapted_from: ClassVar[type[pl.LightningModule]]
    hands: ClassVar[Given]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a loss is given what it wants, and reduced as that of the module was."""
        if name == "loss" and isinstance(value, LossObject):
            value = ReducedLoss(value, self.hands, vars(self).get("_reduction", "mean"))
        elif name == "loss":
            vars(self)["_reduction"] = getattr(value, "reduction", "mean")
        super().__setattr__(name, value)


class ReducedLoss(nn.Module):
    """A loss that takes what a module hands over, and returns what the module expects.

    Args:
        loss: The loss, which returns a value for every sample.
        hands: What the module hands over.
        reduction: ``mean``, ``sum`` or ``none``.
    """

    def __init__(self, loss: LossObject, hands: Given, reduction: str) -> None:
        super().__init__()
        self.loss = loss
        self.hands = hands
        self.reduction = reduction

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of logits or probabilities, float of the shape of the labels."""
        logit = prediction if self.hands == "logit" else torch.logit(prediction, eps=_EPSILON)
        losses = cast(Loss, self.loss).from_logit(logit, label.to(logit.dtype))
        return losses if self.reduction == "none" else losses.sum() if self.reduction == "sum" else losses.mean()


def _adapted_class(kind: Any, gives: Given) -> type[pl.LightningModule]:
    attributes = {"adapted_from": kind, "hands": gives, "__module__": kind.__module__, "__doc__": kind.__doc__}
    return cast(type[pl.LightningModule], type(kind.__name__, (LossSlot, kind), attributes))
