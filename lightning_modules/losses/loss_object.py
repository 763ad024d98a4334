"""The root of all losses: what they want of a model, and how they are described."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn

from lightning_modules.losses.contract import NAMES, SERVED, MisfitError, Prediction, given_by
from lightning_modules.utilities.serialization import Described

_POINTWISE = "name a loss of one prediction, such as BCE"
#: What to do about a loss that a model cannot serve, by what it wants.
_ADVICE = {
    "logit": "let its training step call self.loss.from_logit(logit, label) and set gives = 'logit', or name a loss of "
    "probabilities",
    "difference": f"{_POINTWISE}; if {{model}} trains on pairs, let it say so by gives = 'difference'",
    "scores": f"{_POINTWISE}, or train a model that ranks whole catalogues",
}
_LISTWISE = "name a listwise loss, such as SampledSoftmax, or train a model of one prediction, such as BiasedMF"


class LossObject(Described, nn.Module, ABC):
    """A loss that a model holds as ``self.loss``, and that may be replaced at any time.

    A loss registers no persistent buffers, so that a checkpoint trained under one loss loads under any other. It keeps
    its constructor's arguments as attributes of the same names, from which :meth:`spec` describes it.

    Attributes:
        wants: The kind of prediction that it is computed of.
    """

    wants: ClassVar[Prediction]

    @abstractmethod
    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Return the loss without reduction."""

    def check_model(self, model: nn.Module) -> None:
        """Refuse, before training, a model whose predictions the loss cannot take.

        Args:
            model: Its attribute ``gives`` names the kind of prediction that it passes to its loss.

        Raises:
            MisfitError: If ``gives`` is missing or does not fit what the loss wants.
        """
        gives, name = given_by(model), type(model).__name__
        if self.wants not in SERVED[gives]:
            advice = _LISTWISE if gives == "scores" else _ADVICE[self.wants].format(model=name)
            raise MisfitError(
                f"the loss {self.title} wants {NAMES[self.wants]} and {name} gives {NAMES[gives]}: {advice}"
            )

    @contextmanager
    def first_call_checked(self) -> Iterator[None]:
        """Check the values of the first batch of a training; by default nothing is checked."""
        yield

    def check_data(self, datamodule: object) -> None:
        """Refuse, before training, other data than the loss itself was fitted to; by default none are refused.

        Args:
            datamodule: The data module that the model is trained on.

        Raises:
            ValueError: If the data are others.
        """

    @property
    def tunable(self) -> frozenset[str]:
        """Names of the arguments that change what it computes, so that to tune them may help."""
        return frozenset(self.init_args())

    @property
    def identity(self) -> str:
        """A unique key: losses that compute different values have different texts."""
        return self.title

    @property
    def shown(self) -> str:
        """The loss for a reader."""
        return self.identity

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Build a loss of this kind from the description that :meth:`spec` returned.

        Raises:
            ValueError: If the class cannot be imported or is no such loss, or an argument does not fit.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--loss", type=cls, required=True)
        try:
            loss: Self = parser.instantiate(parser.parse_object({"loss": spec})).loss
        except ArgumentError as error:
            raise ValueError(f"{spec} does not describe a loss: {error}") from error
        return loss


def above_zero(name: str, value: float, *, or_zero: bool = False) -> float:
    """Return a loss's argument, which is finite and above 0.

    Args:
        name: The argument's name, for the message.
        value: The argument.
        or_zero: Allow 0 as well.

    Raises:
        ValueError: If it is not.
    """
    if not (0 < value < math.inf or (or_zero and value == 0)):
        finite = " and finite" if value == math.inf else ""
        raise ValueError(f"{name} must be {'>=' if or_zero else '>'} 0{finite}, got {value}")
    return value
