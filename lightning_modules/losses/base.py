"""The contract that every loss of the project keeps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn

from lightning_modules.losses.contract import (
    SERVED,
    MisfitError,
    Prediction,
    given_by,
    refuse_logit,
    refuse_probability,
)
from lightning_modules.utilities.serialization import Described

_ADVICE = {
    "logit": "let its training step call self.loss.from_logit(logit, label) and set gives = 'logit', or name a loss of "
    "probabilities",
    "difference": "name a loss of one prediction, such as BCE; if {model} trains on pairs, let it say so by gives = "
    "'difference'",
}


class Loss(Described, nn.Module):
    """A loss per sample: ``forward(prediction, label)`` returns one value for each element, without reduction.

    A loss registers no persistent buffers, so that a checkpoint trained under one loss loads under any other. It keeps
    its constructor's arguments as attributes of the same names, so that :meth:`spec` can describe it.

    Attributes:
        wants: Whether ``prediction`` is a probability, a logit or the difference of a pair's scores.
    """

    wants: ClassVar[Prediction] = "probability"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample, in the shape of ``prediction``; ``label`` has that shape and type too."""
        raise NotImplementedError

    def __call__(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return what ``forward`` does, after a look at its arguments that costs no more than a microsecond.

        Raises:
            MisfitError: If the loss wants a logit and a sigmoid has just made a probability of it.
            ValueError: If prediction and label differ in shape, of which broadcasting would make a loss of every pair.
        """
        if prediction.shape != label.shape:
            raise ValueError(
                f"the prediction has shape {tuple(prediction.shape)} and the label {tuple(label.shape)}, but every "
                "prediction has one label: give both in one shape, for instance with squeeze(-1)"
            )
        if self.wants != "probability":
            refuse_probability(prediction)
        losses: Tensor = super().__call__(prediction, label)
        return losses

    def from_logit(self, logit: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample for predictions given as logits, whatever the loss itself wants."""
        if self.wants != "probability":
            return self(logit, label)
        refuse_probability(logit)
        return self(torch.sigmoid(logit), label)

    def check_model(self, model: nn.Module) -> None:
        """Refuse a model that the loss cannot train, before it is trained.

        Args:
            model: Says in its attribute ``gives`` what it gives its loss.

        Raises:
            MisfitError: If the model does not say so, or gives something else than the loss wants.
        """
        gives, name = given_by(model), type(model).__name__
        if self.wants not in SERVED[gives]:
            raise MisfitError(
                f"the loss {self.title} wants a {self.wants} and {name} gives a {gives}: "
                f"{_ADVICE[self.wants].format(model=name)}"
            )

    @contextmanager
    def first_call_checked(self) -> Iterator[None]:
        """Refuse, in the first call of a training, values that are no probabilities where those are wanted.

        Raises:
            MisfitError: If a value lies outside [0, 1].
        """

        def check(_: nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
            handle.remove()
            refuse_logit(arguments[0])

        handle = self.register_forward_pre_hook(check)
        if self.wants != "probability":
            handle.remove()
        try:
            yield
        finally:
            handle.remove()

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
