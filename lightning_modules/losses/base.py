"""The base class of pointwise losses: those of a prediction and its label."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_modules.losses.contract import Prediction, refuse_logit, refuse_probability
from lightning_modules.losses.loss_object import LossObject


class Loss(LossObject):
    """A pointwise loss without reduction: ``forward(prediction, label)`` returns one value per element.

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
