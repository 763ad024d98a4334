"""Values of half precision, where they would be rounded too much."""

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Return values in single precision, or in double precision if they are; of the same shape, gradients included."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def probability_of(logit: Tensor) -> Tensor:
    """Return the probabilities of logits, in single precision at least, in the shape of the logits.

    In bfloat16 every probability above .998 is 1: they tie, and the logarithm of the rest is infinite.
    """
    return torch.sigmoid(at_least_single(logit))
