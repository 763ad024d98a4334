"""The multilayer perceptron that recommenders, towers and critics are built from."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.layers.dropout import Dropout

Layer = TypeVar("Layer", bound=nn.Module)
Normalisation = Callable[[Tensor], Tensor]


def without_bias_gradient(layer: Layer) -> Layer:
    """Let the bias of a layer stay as it starts, because nothing of it is left in the loss; return the layer.

    Batch normalisation subtracts what is the same in all rows of a batch, and so does a loss of differences of scores.
    The gradient of such a bias is 0, but computed it is what rounding leaves, which Adam turns into full steps. As a
    parameter that is not trained it still has its place in checkpoints and counts. While running statistics stand in
    for those of a batch, it does have a gradient, which that of batch normalisation's own bias can make up for.
    """
    layer.get_parameter("bias").requires_grad_(False)
    return layer


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over ``[n, features]`` that takes a single training row too.

    A single row has no variance, so it is normalised by the running statistics and leaves them as they are; the last
    batch of an epoch may be that small.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name is torch's)
        """Return the normalised rows, in the shape of ``input``."""
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)

    def parts(self, count: int, scale: float = 1.0) -> list[Normalisation]:
        """Return what normalises the first of so many equal parts of the features, then the second, and so on.

        Each is called once, with more than one row. Together they do what a call of this module does.

        Args:
            count: Number of parts.
            scale: What the outputs are multiplied by.
        """
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        tensors = {
            "running_mean": self.running_mean,
            "running_var": self.running_var,
            "weight": self.weight * scale,
            "bias": self.bias * scale,
        }
        chunks = zip(*(cast(Tensor, each).chunk(count) for each in tensors.values()), strict=True)
        options: dict[str, Any] = {"training": self.training, "momentum": self.momentum, "eps": self.eps}
        return [partial(F.batch_norm, **dict(zip(tensors, part, strict=True)), **options) for part in chunks]


class MLP(nn.Sequential):
    """Hidden layers of Linear, BatchNorm, ReLU and dropout: ``[n, in_features] -> [n, out_features]``.

    Args:
        in_features: Size of the input.
        hidden_features: Size of every hidden layer, first to last.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch; their Linear layers' biases are then not
            trained, see :func:`without_bias_gradient`.
        output_features: Size of a last Linear layer without activation; None ends with the last hidden layer.

    Attributes:
        out_features: Size of the output.

    Raises:
        ValueError: If a size is not positive, dropout lies outside [0, 1), or there is no layer at all.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: Sequence[int],
        *,
        dropout: float = 0.0,
        batch_norm: bool = True,
        output_features: int | None = None,
    ) -> None:
        sizes = [in_features, *hidden_features]
        check_layers(sizes if output_features is None else [*sizes, output_features], dropout)
        layers: list[nn.Module] = []
        for size, next_size in pairwise(sizes):
            layers += _hidden_layer(size, next_size, dropout=dropout, batch_norm=batch_norm)
        if output_features is not None:
            layers.append(nn.Linear(sizes[-1], output_features))
        super().__init__(*layers)
        self.out_features = sizes[-1] if output_features is None else output_features


def check_layers(sizes: Sequence[int], dropout: float) -> None:
    """Raise a ValueError unless sizes, the input's first, and dropout make an MLP."""
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"an MLP needs an input and at least one layer, all of positive size, got sizes {list(sizes)}")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout is the share of units to drop and must lie in [0, 1), got {dropout}")


def _hidden_layer(in_features: int, out_features: int, *, dropout: float, batch_norm: bool) -> list[nn.Module]:
    linear = nn.Linear(in_features, out_features)
    layers: list[nn.Module] = [without_bias_gradient(linear), BatchNorm(out_features)] if batch_norm else [linear]
    layers.append(nn.ReLU())
    if dropout > 0.0:
        layers.append(Dropout(dropout))
    return layers
