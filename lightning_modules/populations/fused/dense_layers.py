"""The dense layers of a recommender as the network that compiled kernels train."""

import copy
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lightning_modules.layers.dropout import UNITS_PER_WORD, Dropout, DropoutDraws, random_words
from lightning_modules.layers.mlp import BatchNorm
from lightning_modules.populations.fused.kernel_arguments import LAYER, Bits, Network, Offsets
from lightning_modules.populations.stacked_model import UnmatchedError

# What a hidden layer is made of, in this order; the last layer is Linear alone.
_PARTS: Mapping[type[nn.Module], str] = {nn.Linear: "linear", BatchNorm: "norm", nn.ReLU: "relu", Dropout: "dropout"}
_NO_KERNEL = "no compiled kernel can do"


class _Layer(NamedTuple):
    linear: nn.Linear
    norm: BatchNorm | None = None
    relu: nn.ReLU | None = None
    dropout: Dropout | None = None

    @property
    def draws(self) -> DropoutDraws | None:
        """How dropout draws; None if no unit is dropped."""
        return DropoutDraws.of(self.dropout.p, (0,)) if self.dropout and self.dropout.p > 0 else None


class DenseLayers:
    """A copy of dense layers on the vectors of a user and of an item, whose weights a kernel trains.

    Args:
        layers: Hidden layers of Linear, batch normalisation, ReLU and dropout, and a Linear layer to the logit.

    Attributes:
        network: What the kernels train.

    Raises:
        UnmatchedError: If there are other layers, or weights that are not trained, apart from biases.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        self._module = copy.deepcopy(layers).eval()
        self._layers = _parsed(self._module)
        self._norms = [layer.norm for layer in self._layers if layer.norm]
        parameters = sorted(self._module.parameters(), key=lambda each: not each.requires_grad)
        self._weights = _Packed(map(self._packed, parameters))
        self._statistics = _Packed(each for norm in self._norms for each in _statistics(norm))
        self.network = self._network(sum(each.numel() for each in parameters if each.requires_grad))

    def _packed(self, parameter: nn.Parameter) -> Tensor:
        """Return a parameter as it is packed: the first weight as that of users, then that of items."""
        if parameter is not self._layers[0].linear.weight:
            return parameter.detach()
        return parameter.detach().view(len(parameter), 2, -1).transpose(0, 1)

    def _network(self, trained: int) -> Network:
        records, first_output, dropouts = np.full(len(self._layers), -1, LAYER).view(np.recarray), 0, 0
        for record, layer in zip(records, self._layers, strict=True):
            outputs, weights = layer.linear.out_features, self._weights.starts
            record.inputs, record.outputs, record.first_output = layer.linear.in_features, outputs, first_output
            record.weight, record.bias = weights[layer.linear.weight.data_ptr()], weights[layer.linear.bias.data_ptr()]
            if layer.norm:
                record.scale = weights[layer.norm.weight.data_ptr()]
                record.statistics = self._statistics.starts[_statistics(layer.norm)[0].data_ptr()]
                record.eps, record.momentum = layer.norm.eps, layer.norm.momentum
            record.gain = 1.0
            if layer.draws:
                record.gain, record.least, record.dropout = layer.draws.scale, layer.draws.least, dropouts
                dropouts += 1
            first_output += outputs
        states = (np.zeros(trained, np.float32) for _ in range(3))
        return Network(records, self._statistics.array, self._weights.array, *states)

    def draws(self, steps: Offsets) -> tuple[Bits, Offsets]:
        """Draw the random numbers of dropout as training does, for the steps that begin at these samples.

        Returns:
            The numbers, and the first of each step and layer with dropout; see :class:`StepPlan`.
        """
        outputs = np.array([layer.linear.out_features for layer in self._layers if layer.draws], np.int64)
        words = -(-np.diff(steps)[:, np.newaxis] * outputs // UNITS_PER_WORD)
        starts = (words.cumsum().reshape(words.shape) - words) * UNITS_PER_WORD
        return random_words(int(words.sum())).view(torch.int16).numpy(), starts

    def count(self, steps: Offsets) -> None:
        """Count steps as trained, which begin at these samples."""
        for norm in self._norms:
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += int((np.diff(steps) > 1).sum())

    def module(self) -> nn.Module:
        """Return the layers as they are after the steps taken, in evaluation mode."""
        self._weights.unpack()
        self._statistics.unpack()
        return self._module


class _Packed:
    """Tensors and a copy of them one after the other in one array.

    Args:
        tensors: The tensors, float32.

    Attributes:
        array: The copy, which may be changed.
        starts: First element of each tensor in it, by its place in memory.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = list(tensors)
        sizes = [each.numel() for each in self._tensors]
        self.array = np.empty(sum(sizes), np.float32)
        starts = accumulate(sizes, initial=0)
        self.starts = {each.data_ptr(): start for each, start in zip(self._tensors, starts, strict=False)}
        self._parts = torch.from_numpy(self.array).split(sizes)
        for tensor, part in zip(self._tensors, self._parts, strict=True):
            part.view(tensor.shape).copy_(tensor)

    def unpack(self) -> None:
        """Copy the array into the tensors."""
        for tensor, part in zip(self._tensors, self._parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def _statistics(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def _parsed(layers: nn.Sequential) -> list[_Layer]:
    """Return layers by their parts.

    Raises:
        UnmatchedError: If they have others, or in another order, or untrained weights.
    """
    found: list[dict[str, nn.Module]] = []
    order = list(_PARTS.values())
    for module in layers:
        part = _PARTS.get(type(module))
        if part == "linear":
            found.append({})
        elif part is None or not found or order.index(part) <= max(map(order.index, found[-1])):
            raise UnmatchedError(f"there is a layer {module} where {_NO_KERNEL} it")
        found[-1][part] = module
    parsed = [_Layer(**each) for each in found]  # type: ignore[arg-type]  # by the keys of _PARTS
    _check(parsed)
    return parsed


def _check(layers: list[_Layer]) -> None:
    *hidden, last = layers
    for layer in layers:
        weights = [layer.linear.weight, *(layer.norm.parameters() if layer.norm else ())]
        if not all(each.requires_grad for each in weights) or layer.linear.bias is None:
            raise UnmatchedError(f"there are weights of {layer.linear} or {layer.norm} that stay, which {_NO_KERNEL}")
        if layer.norm and not (
            layer.norm.affine and layer.norm.track_running_stats and layer.norm.momentum is not None
        ):
            raise UnmatchedError(f"there is a layer {layer.norm}, which {_NO_KERNEL}")
    if not all(layer.relu for layer in hidden) or last[1:] != (None, None, None) or last.linear.out_features != 1:
        raise UnmatchedError(f"there are layers without ReLU, or not one logit, which {_NO_KERNEL}")
