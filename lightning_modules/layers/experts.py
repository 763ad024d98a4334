"""Several networks of one shape, computed together, and the gates that mix them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from lightning_modules.core.epoch_statistics import EpochStatistics
from lightning_modules.layers.dropout import Dropout, DropoutDraws, dropped_relu_
from lightning_modules.layers.embedding import FieldEmbedding
from lightning_modules.layers.mlp import BatchNorm, Normalisation, check_layers, without_bias_gradient

# So many units of a hidden layer of all networks leave a CPU's cache.
_MOST_UNITS = 2**20


class ParallelLinear(nn.Module):
    """Several Linear layers of one shape, each initialised like :class:`torch.nn.Linear`.

    Args:
        num_networks: Number of layers.
        in_features: Size of the input of each.
        out_features: Size of the output of each.
    """

    def __init__(self, num_networks: int, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(num_networks, out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_networks, out_features).uniform_(-bound, bound))

    def each(self) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return the weight of every layer, float [out, in], and the bias of every layer, float [out]."""
        return self.weight.unbind(), self.bias.unbind()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return every layer's output: [n, in], which all of them read, or [n, networks, in] -> [n, networks, out]."""
        if inputs.dim() == 2:
            # One product over all layers is the fastest where they read the same.
            shared = linear(inputs, self.weight.flatten(0, 1), self.bias.flatten())
            outputs: Tensor = shared.unflatten(1, self.bias.shape)
            return outputs
        products = torch.bmm(inputs.transpose(0, 1), self.weight.transpose(1, 2))
        return products.transpose(0, 1) + self.bias


class ParallelMLP(nn.Module):
    """Several MLPs of one shape as one batched product, equal to a loop over :class:`~lightning_modules.layers.MLP`.

    Args:
        num_networks: Number of MLPs.
        in_features: Size of the input of each.
        hidden_features: Size of every hidden layer, first to last; Linear, BatchNorm, ReLU, dropout each.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch; their Linear layers' biases are then not
            trained, see :func:`~lightning_modules.layers.mlp.without_bias_gradient`.
        output_features: Size of a last Linear layer without activation; None ends with the last hidden layer.

    Attributes:
        out_features: Size of the output of each.

    Raises:
        ValueError: If a size is not positive, dropout lies outside [0, 1), or there is no layer at all.
    """

    def __init__(
        self,
        num_networks: int,
        in_features: int,
        hidden_features: Sequence[int],
        *,
        dropout: float = 0.0,
        batch_norm: bool = True,
        output_features: int | None = None,
    ) -> None:
        super().__init__()
        hidden = [in_features, *hidden_features]
        sizes = hidden if output_features is None else [*hidden, output_features]
        check_layers(sizes, dropout)
        if num_networks < 1:
            raise ValueError(f"there must be at least one network, such as one expert or one tower, got {num_networks}")
        layers = [ParallelLinear(num_networks, *pair) for pair in pairwise(sizes)]
        self.num_networks = num_networks
        self.layers: Sequence[ParallelLinear] = nn.ModuleList(layers)  # type: ignore[assignment]  # acts as one
        norms = [BatchNorm(num_networks * size) for size in hidden_features] if batch_norm else []
        self.norms: Sequence[BatchNorm] = nn.ModuleList(norms)  # type: ignore[assignment]  # acts as one
        for layer in layers[: len(norms)]:
            without_bias_gradient(layer)
        # What BatchNorm returns is needed nowhere else, so that it may be overwritten.
        self.dropout = Dropout(dropout, inplace=batch_norm)
        self.num_hidden = len(hidden_features)
        self.out_features = sizes[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return every MLP's output: [n, in], which all of them read, or [n, networks, in] -> [n, networks, out]."""
        if not self._pays_apart(inputs):
            return self._continued(self.layers[0](inputs))
        each = inputs.unbind(1) if inputs.dim() == 3 else [inputs] * self.num_networks
        return self._apart(map(linear, each, *self.layers[0].each()), len(inputs))

    def read_fields(self, embedding: FieldEmbedding, vectors: Tensor, categorical: Tensor) -> Tensor:
        """Return every MLP's output on the embedded fields, faster than ``forward`` on the flat vectors.

        Args:
            embedding: What embedded the fields; see :meth:`FieldEmbedding.project`.
            vectors: What it returned, float [n, fields, dim].
            categorical: The indices that it was given, int64 [n, fields].

        Returns:
            Float [n, networks, out].
        """
        weight, bias = self.layers[0].weight, self.layers[0].bias
        if self._pays_apart(vectors):
            return self._apart(map(embedding.reader(vectors, categorical), *self.layers[0].each()), len(vectors))
        outputs = embedding.project(vectors, categorical, weight.flatten(0, 1), bias.flatten())
        return self._continued(outputs.unflatten(1, bias.shape))

    def _pays_apart(self, inputs: Tensor) -> bool:
        """Return whether to train the networks one after the other, since a layer of all of them leaves the cache."""
        # A traced model must not depend on the number of rows that it was traced with.
        if (
            torch.compiler.is_compiling()
            or not torch.is_grad_enabled()
            or inputs.device.type != "cpu"
            or not self.norms
        ):
            return False
        return len(inputs) > 1 and len(inputs) * max(norm.num_features for norm in self.norms) >= _MOST_UNITS

    def _apart(self, first_outputs: Iterable[Tensor], rows: int) -> Tensor:
        """Return every MLP's output from those of their first layers, one MLP after the other."""
        activations = [self._activations(index, rows) for index in range(self.num_hidden)]
        later = [[*zip(*layer.each(), strict=True)] for layer in self.layers[1:]]
        outputs = []
        for network, units in enumerate(first_outputs):
            for index, activate in enumerate(activations):
                units = activate[network](units)
                if index < len(later):
                    units = linear(units, *later[index][network])
            outputs.append(units)
        return torch.stack(outputs, dim=1)

    def _activations(self, index: int, rows: int) -> list[Callable[[Tensor], Tensor]]:
        """Return what a hidden layer does to the units of every MLP, together the same as for all of them at once."""
        norm, count = self.norms[index], self.num_networks
        if not self.dropout.training or self.dropout.p == 0:
            return [partial(_normalised_relu, part) for part in norm.parts(count)]
        draws = DropoutDraws.of(self.dropout.p, (rows, norm.num_features))
        parts = zip(norm.parts(count, draws.scale), draws.parts(count), strict=True)
        return [partial(_normalised_relu, part, draws=drawn) for part, drawn in parts]

    def _continued(self, outputs: Tensor) -> Tensor:
        for index in range(self.num_hidden):
            outputs = self._activate(outputs, index)
            if index + 1 < len(self.layers):
                outputs = self.layers[index + 1](outputs)
        return outputs

    def _activate(self, outputs: Tensor, index: int) -> Tensor:
        units = self.norms[index](outputs.flatten(1)) if self.norms else outputs.flatten(1)
        # Units dropped before ReLU are units dropped after it, but only this order can overwrite them.
        return relu(self.dropout(units), inplace=self.dropout.inplace).view_as(outputs)


def _normalised_relu(normalise: Normalisation, units: Tensor, draws: DropoutDraws | None = None) -> Tensor:
    normalised = normalise(units)
    return relu(normalised, inplace=True) if draws is None else dropped_relu_(normalised, draws)


class Gates(EpochStatistics, nn.Module):
    """Softmax gates over experts: a Linear layer from the input to one weight an expert, which add up to 1.

    In training the mean weights are kept, for the log and without waiting for the device, until :meth:`reset`.

    Args:
        in_features: Size of the input.
        gate_names: Name of every gate, such as the task that it mixes for.
        expert_names: Name of every expert.
        tied: Whether all gates are one Linear layer, which then reads an input of its own for each gate.
    """

    def __init__(
        self, in_features: int, gate_names: Sequence[str], expert_names: Sequence[str], *, tied: bool = False
    ) -> None:
        super().__init__()
        self.gate_names, self.expert_names = tuple(gate_names), tuple(expert_names)
        self.linear = nn.Linear(in_features, len(self.expert_names) * (1 if tied else len(self.gate_names)))
        self._total: Tensor | None = None
        self._count = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Return every gate's weights: [n, in], or [n, gates, in] if tied, -> [n, gates, experts]."""
        return self._keep(torch.softmax(self._logits(inputs), dim=-1))

    def log_weights(self, inputs: Tensor) -> Tensor:
        """Return the logarithms of every gate's weights, in the shapes of ``forward``."""
        logarithms = torch.log_softmax(self._logits(inputs), dim=-1)
        self._keep(logarithms.exp())
        return logarithms

    def _logits(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return logits.view(-1, len(self.gate_names), len(self.expert_names))

    def _keep(self, weights: Tensor) -> Tensor:
        if self.training:
            mean = weights.detach().float().mean(dim=0)
            self._total = mean if self._total is None else self._total + mean
            self._count += 1
        return weights

    def reset(self) -> None:
        """Forget the weights kept so far."""
        self._total, self._count = None, 0

    def statistics(self) -> Iterator[tuple[str, Tensor]]:
        """Yield ``gate/<gate>/<expert>`` and the mean weight of every pair; nothing without a training batch."""
        if self._total is None:
            return
        for gate, weights in zip(self.gate_names, self._total / self._count, strict=True):
            for expert, weight in zip(self.expert_names, weights, strict=True):
                yield f"gate/{gate}/{expert}", weight


def mix(weights: Tensor, *outputs: Tensor) -> Tensor:
    """Return the experts' outputs mixed by every gate.

    Args:
        weights: Every gate's weights, float [n, gates, experts].
        outputs: The experts' outputs, float [n, experts, out], or those of some experts after those of others.

    Returns:
        Float [n, gates, out].
    """
    parts = weights.split([each.shape[1] for each in outputs], dim=2)
    # Where there are several, their sum costs less than putting all outputs together.
    return sum(map(torch.bmm, parts[1:], outputs[1:]), torch.bmm(parts[0], outputs[0]))
