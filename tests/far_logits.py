"""Logits that single precision holds exactly, at home and far from it, where their probabilities all round alike."""

import pytest
import torch
from torch import Tensor

#: Changes of logits that no ranking may notice: shifts to where probabilities are 0 or 1, and a scale.
moved = pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (1.0, -200.0), (1.0, 40.0), (50.0, 0.0)], ids=["as it is", "-200", "+40", "* 50"]
)


def eighths(*shape: int, seed: int = 0) -> Tensor:
    """Return multiples of 1/8 between -6 and 6, which :data:`moved` takes to others without rounding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-48, 49, shape, generator=generator) / 8


def labels_of(logit: Tensor, seed: int = 0) -> Tensor:
    """Return labels that follow logits, in their shape."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(logit.shape, generator=generator) < torch.sigmoid(logit / 3)).float()
