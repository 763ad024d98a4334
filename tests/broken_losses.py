"""Losses that no model can be trained with."""

import torch
from torch import Tensor

from lightning_modules.losses import Loss


class Raising(Loss):
    """Raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    @property
    def title(self) -> str:
        # An exception is no plain value, of which titles are made.
        return type(self).__name__

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        raise self.error


class Infinite(Loss):
    """Is infinite for every sample, with gradients that are finite."""

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return prediction + torch.inf
