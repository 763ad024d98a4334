"""The actions of an agent: the probabilities that a model's logits stand for."""

import torch
from torch import Tensor

from lightning_modules.core.precision import at_least_single


def actions_of(logit: Tensor) -> Tensor:
    """Return the probabilities of logits, in single precision at least, in the shape of the logits.

    In bfloat16 every probability above .998 is 1, whose logarithm of the rest is infinite.
    """
    return torch.sigmoid(at_least_single(logit))
