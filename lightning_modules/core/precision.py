"""Values of half precision, where they would be rounded too much."""

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Return values in single precision, or in double precision if they are; of the same shape, gradients included."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
