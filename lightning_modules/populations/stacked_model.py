"""What a recommender needs so that many copies of it can be trained together."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

#: Takes logits, float [n, K], and returns the derivatives of the batch's mean losses by them, in the same shape.
Slopes = Callable[[Tensor], Tensor]

# What decides on the weights that a recommender is trained to.
_DECISIVE = ("forward", "logit_step", "sample_loss", "training_step", "configure_optimizers", "trains_on_pairs")


class UnmatchedError(ValueError):
    """A setting under which a population would not train as its candidates would one by one."""


class StackedModel(nn.Module, ABC):
    """K copies of a recommender, whose weights are slices of stacked tensors.

    Everything that a batch reads only a part of lies in one table, whose row holds the vectors that all copies have
    for one user, item or the like. The other weights are parameters with the recommender's names, whose first dimension
    is the copies'; those that the recommender does not train need no gradient.

    Args:
        table: Float [rows, K, width]; its last row is no copy's weight but room for padding.
    """

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)

    @abstractmethod
    def rows(self, batch: Any) -> Tensor:
        """Return the numbers of the table's rows that the batch reads, with repetitions, int64 [reads]."""

    @abstractmethod
    def logits(self, vectors: Tensor, place: Tensor) -> Tensor:
        """Return the logit of every row of a batch under every copy; autograd differentiates it.

        Args:
            vectors: The table's rows that the batch reads, each once and in order, float [distinct, K, width].
            place: Where among them each of those lies that :meth:`rows` named, int64 [reads].

        Returns:
            Float [n, K].
        """

    @abstractmethod
    def unstacked(self, vectors: Tensor, copy: int) -> dict[str, Tensor]:
        """Return one copy's weights as a state of the recommender.

        Args:
            vectors: The copy's slice of all rows of the table, float [rows, width].
            copy: Number of the copy.
        """

    def trained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that need a gradient."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def gradients(self, vectors: Tensor, place: Tensor, slopes: Slopes) -> list[Tensor]:
        """Return the derivatives of the mean losses by ``vectors`` and by what is trained; see :meth:`logits`."""
        vectors = vectors.detach().requires_grad_()
        with torch.enable_grad():
            logit = self.logits(vectors, place)
            return list(torch.autograd.grad(logit, [vectors, *self.trained_parameters()], slopes(logit.detach())))


@singledispatch
def stacked(recommender: nn.Module, count: int) -> StackedModel:  # noqa: ARG001 (for those that are registered)
    """Return ``count`` copies of a recommender; ``stacked.register`` adds another class of recommenders.

    Raises:
        UnmatchedError: If nothing is registered for its class.
    """
    raise UnmatchedError(
        f"{type(recommender).__name__} cannot be trained as a population: nothing stacks it. Register a function with "
        "lightning_modules.populations.stacked.register, or train one candidate at a time"
    )


def check_stacked(recommender: nn.Module) -> None:
    """Refuse a recommender that would train as one of a class that it is only derived from.

    Raises:
        UnmatchedError: If it predicts or trains in its own way, or on pairs.
    """
    own = type(recommender)
    kind = next(kind for kind in own.__mro__ if kind in stacked.registry)
    changed = [name for name in _DECISIVE if getattr(own, name, None) is not getattr(kind, name, None)]
    if kind is not object and changed:
        raise UnmatchedError(
            f"{own.__name__} cannot be trained as a population of {kind.__name__}, since it has its own {changed[0]}. "
            "Register a function of its own with lightning_modules.populations.stacked.register, or train one "
            "candidate at a time"
        )


def stack(weight: Tensor, count: int) -> Tensor:
    """Return ``count`` copies of a weight along a new first dimension."""
    return weight.detach().unsqueeze(0).repeat(count, *(1 for _ in weight.shape))


def stack_parameter(parameter: Tensor, count: int) -> nn.Parameter:
    """Return ``count`` copies of a parameter along a new first dimension, trained if it is."""
    return nn.Parameter(stack(parameter, count), requires_grad=parameter.requires_grad)
