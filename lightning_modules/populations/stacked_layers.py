"""Stacked layers, with separate weights for each of K copies: float [n, K, in] -> [n, K, out]."""

from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.layers.dropout import Dropout
from lightning_modules.layers.mlp import BatchNorm
from lightning_modules.populations.stacked_model import UnmatchedError, stack, stack_parameter


@singledispatch
def stacked_layer(layer: nn.Module, count: int) -> nn.Module:  # noqa: ARG001 (of the registered functions)
    """Return ``count`` copies of a layer, whose state has the layer's names and a first dimension of copies.

    Raises:
        UnmatchedError: If there is no stacked form of such a layer.
    """
    raise UnmatchedError(f"a population has no stacked form of the layer {layer}; train one candidate at a time")


@stacked_layer.register
def _(layer: nn.ReLU, count: int) -> nn.Module:  # noqa: ARG001
    return nn.ReLU()


@stacked_layer.register(nn.Linear)
class StackedLinear(nn.Module):
    """Copies of a Linear layer."""

    def __init__(self, layer: nn.Linear, count: int) -> None:
        super().__init__()
        self.weight = stack_parameter(layer.weight, count)
        self.bias = stack_parameter(layer.bias, count)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of every copy."""
        return torch.baddbmm(self.bias.unsqueeze(1), inputs.transpose(0, 1), self.weight.mT).transpose(0, 1)


@stacked_layer.register(BatchNorm)
class StackedBatchNorm(nn.Module):
    """Copies of a batch normalisation, which treats a single row as :class:`BatchNorm` does."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layer: BatchNorm, count: int) -> None:
        super().__init__()
        self.eps = layer.eps
        self.momentum = layer.momentum
        self.weight = stack_parameter(layer.weight, count)
        self.bias = stack_parameter(layer.bias, count)
        for name, statistic in layer.named_buffers():
            self.register_buffer(name, stack(statistic, count))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the normalised rows of every copy."""
        over_batch = self.training and len(inputs) > 1
        if over_batch:
            self.num_batches_tracked += 1
        mean, variance, weight, bias = (
            numbers.flatten() for numbers in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        momentum = self.momentum or 0.0
        outputs = F.batch_norm(inputs.flatten(1), mean, variance, weight, bias, over_batch, momentum, self.eps)
        return outputs.view(inputs.shape)


@stacked_layer.register(Dropout)
class SharedDropout(nn.Module):
    """Dropout of the same units in every copy, as in separate trainings with the same seed."""

    def __init__(self, layer: Dropout, count: int) -> None:  # noqa: ARG002
        super().__init__()
        self.dropout = Dropout(layer.p)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs, in training without the dropped units."""
        if not self.training:
            return inputs
        kept: Tensor = self.dropout(torch.ones_like(inputs[:, 0], memory_format=torch.contiguous_format))
        return inputs * kept.unsqueeze(1)
