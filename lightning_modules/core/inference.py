"""What a trained model computes where it is used: a graph of tensors, without anything of the training."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class InferenceGraph(nn.Module, ABC):
    """Takes tensors of as many rows each, int64 or float, and returns float tensors of as many rows.

    Attributes:
        inputs: The names of the inputs' dimensions that may have any size, the first ones of each input, by its name,
            in the order of ``forward``.
        outputs: The names of the outputs, in the order in which ``forward`` returns them.
        values: What the outputs are, in messages.
    """

    inputs: ClassVar[dict[str, tuple[str, ...]]]
    outputs: ClassVar[tuple[str, ...]]
    values: ClassVar[str] = "scores"

    @abstractmethod
    def examples(self, rows: int) -> tuple[Tensor, ...]:
        """Return inputs of a number of rows, spread over all indices, the first and the last one included."""

    def metadata(self) -> dict[str, str]:
        """Return what a reader of the file must know beside the names, texts by name."""
        return {}


class Exportable(nn.Module):
    """A model that may say what it computes outside a Trainer; a mixin before ``LightningModule``."""

    def inference_graph(self) -> InferenceGraph:
        """Return what the model computes with the weights of this moment, for other programs.

        Raises:
            ValueError: If the model does not know all that it computes with, or does not say what it computes.
        """
        raise ValueError(
            f"{type(self).__name__} does not say what it computes outside a Trainer: override inference_graph() in its "
            "class, as MF does"
        )


def spread(size: int, rows: int) -> Tensor:
    """Return indices in [0, size) at even distances, int64 [rows]."""
    return torch.linspace(0, size - 1, rows).round().long()
