"""The base class of all losses."""

from abc import ABC, abstractmethod
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


class Loss(Described, nn.Module, ABC):
    """A pointwise loss without reduction: ``forward(prediction, label)`` returns one value per element.

    A loss registers no persistent buffers, so that a checkpoint trained under one loss loads under any other. It keeps
    its constructor's arguments as attributes of the same names, from which :meth:`spec` describes it.

    Attributes:
        wants: The kind of prediction that ``forward`` takes: a probability, a logit, or a difference of two scores.
    """

    wants: ClassVar[Prediction] = "probability"

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction``, ``label`` and the result have one shape and dtype."""

    def __call__(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Check the arguments, which takes about a microsecond, and return the value of ``forward``.

        Raises:
            MisfitError: If the loss wants a logit and the prediction is the output of a sigmoid.
            ValueError: If prediction and label differ in shape, which broadcasting would accept.
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
        """Return the loss of every sample from its logit, whatever kind of prediction the loss wants."""
        if self.wants != "probability":
            return self(logit, label)
        refuse_probability(logit)
        return self(torch.sigmoid(logit), label)

    def check_model(self, model: nn.Module) -> None:
        """Refuse, before training, a model whose predictions the loss cannot take.

        Args:
            model: Its attribute ``gives`` names the kind of prediction that it passes to its loss.

        Raises:
            MisfitError: If ``gives`` is missing or does not fit what the loss wants.
        """
        gives, name = given_by(model), type(model).__name__
        if self.wants not in SERVED[gives]:
            raise MisfitError(
                f"the loss {self.title} wants a {self.wants} and {name} gives a {gives}: "
                f"{_ADVICE[self.wants].format(model=name)}"
            )

    @contextmanager
    def first_call_checked(self) -> Iterator[None]:
        """Check the values of the first batch of a training, where the loss wants probabilities.

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
        """Prepare for the inputs of :meth:`of_rows` before training starts; by default nothing is done.

        Args:
            field_sizes: Vocabulary size of every categorical field, including the index of unknown values.
            num_numerical: Number of numerical features.
            tasks: Names of the tasks, in the order of the columns of logits and labels.

        Raises:
            ValueError: If the loss does not fit these inputs.
        """

    def check_data(self, datamodule: object) -> None:
        """Refuse, before training, other data than the loss itself was fitted to; by default none are refused.

        Args:
            datamodule: The data module that the model is trained on.

        Raises:
            ValueError: If the data are others.
        """

    def of_rows(self, logit: Tensor, label: Tensor, categorical: Tensor, numerical: Tensor) -> Tensor:  # noqa: ARG002
        """Return the loss of every row and task; by default the features are ignored.

        Args:
            logit: Logit of every task, float [n, tasks].
            label: 0 or 1, float [n, tasks].
            categorical: Indices of the categorical fields, int64 [n, fields].
            numerical: Numerical features, float [n, features].

        Returns:
            Float [n, tasks].
        """
        return self.from_logit(logit, label)

    @property
    def identity(self) -> str:
        """A unique key: losses that compute different values have different texts."""
        return self.title

    @staticmethod
    def from_spec(spec: dict[str, Any]) -> "Loss":
        """Build a loss from the description that :meth:`spec` returned.

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
