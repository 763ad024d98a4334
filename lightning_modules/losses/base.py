"""The contract that every loss of the project keeps."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn

from lightning_modules.described import Described


class Loss(Described, nn.Module):
    """A loss per sample: ``forward(prediction, label)`` returns one value for each element, without reduction.

    A loss registers no persistent buffers, so that a checkpoint trained under one loss loads under any other. It keeps
    its constructor's arguments as attributes of the same names, so that :meth:`spec` can describe it.

    Attributes:
        wants: Whether ``prediction`` is a probability or a logit (for pairs: the difference of two scores).
    """

    wants: ClassVar[Literal["probability", "logit"]] = "probability"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample, in the shape of ``prediction``; ``label`` has that shape and type too."""
        raise NotImplementedError

    def from_logit(self, logit: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample for predictions given as logits, whatever the loss itself wants."""
        losses: Tensor = self(logit if self.wants == "logit" else torch.sigmoid(logit), label)
        return losses

    def prepare(self, field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str]) -> None:
        """Take in, before training starts, what :meth:`of_rows` will be given; most losses need not know.

        Args:
            field_sizes: Number of indices of every categorical field, that of unknown values included.
            num_numerical: Number of numerical features.
            tasks: Name of every column of the logits and labels.

        Raises:
            ValueError: If the loss does not fit them.
        """

    def of_rows(self, logit: Tensor, label: Tensor, categorical: Tensor, numerical: Tensor) -> Tensor:  # noqa: ARG002
        """Return the loss of every row and task; most losses do not look at the rows' features.

        Args:
            logit: Logit of every task's probability, float [n, tasks].
            label: 0 or 1, float [n, tasks].
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].

        Returns:
            Float [n, tasks].
        """
        return self.from_logit(logit, label)

    @property
    def identity(self) -> str:
        """A text that no other loss has, to know it again by."""
        return self.title

    @property
    def simplified(self) -> str:
        """A formula's text in the canonical form; empty for a hand-made loss."""
        return ""

    @property
    def latex(self) -> str:
        """A formula in LaTeX; empty for a hand-made loss."""
        return ""

    def unclamped(self) -> "Loss":
        """Return the loss without a clamp after its operators; a loss that has none returns itself."""
        return self

    @staticmethod
    def from_spec(spec: dict[str, Any]) -> "Loss":
        """Return a new loss from what :meth:`spec` returned.

        Raises:
            ValueError: If the class cannot be imported or is no loss, or an argument does not fit.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--loss", type=Loss, required=True)
        try:
            loss: Loss = parser.instantiate(parser.parse_object({"loss": spec})).loss
        except ArgumentError as error:
            raise ValueError(f"{spec} does not describe a loss: {error}") from error
        return loss
