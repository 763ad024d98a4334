"""The interface of stacked models: many copies of one recommender in stacked tensors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

#: Takes logits, float [n, K], and returns the derivatives of the batch's mean losses by them, in the same shape.
Slopes = Callable[[Tensor], Tensor]

# The methods that determine the weights that a recommender is trained to.
_DECISIVE = ("forward", "logit_step", "sample_loss", "training_step", "configure_optimizers", "trains_on_pairs")


class UnmatchedError(ValueError):
    """A setting with which a population would not equal separate trainings."""


class StackedModel(nn.Module, ABC):
    """K copies of a recommender, whose weights are slices of stacked tensors.

    All embeddings are in one table, whose rows hold the vectors of all copies for one user, item or the like. The other
    weights are parameters with the recommender's names and the copies as first dimension; those that the recommender
    does not train need no gradient.

    Args:
        table: Float [rows, K, width]; the last row is padding.
    """

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)

    @abstractmethod
    def rows(self, batch: Any) -> Tensor:
        """Return the numbers of the table's rows that the batch reads, with repetitions, int64 [reads]."""

    @abstractmethod
    def logits(self, vectors: Tensor, index: Tensor) -> Tensor:
        """Return the logit of every row of a batch under every copy, differentiable by autograd.

        Args:
            vectors: The distinct rows of the table that the batch reads, in order, float [distinct, K, width].
            index: Index among them of each read of :meth:`rows`, int64 [reads].

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

    def gradients(self, vectors: Tensor, index: Tensor, slopes: Slopes) -> list[Tensor]:
        """Return the derivatives of the mean losses by ``vectors`` and by the parameters; see :meth:`logits`."""
        vectors = vectors.detach().requires_grad_()
        with torch.enable_grad():
            logit = self.logits(vectors, index)
            return list(torch.autograd.grad(logit, [vectors, *self.trained_parameters()], slopes(logit.detach())))


@singledispatch
def stacked(recommender: nn.Module, count: int) -> StackedModel:  # noqa: ARG001 (of the registered functions)
    """Return ``count`` copies of a recommender; ``stacked.register`` adds another class of recommenders.

    Raises:
        UnmatchedError: If no function is registered for its class.
    """
    raise UnmatchedError(
        f"{type(recommender).__name__} cannot be trained as a population: nothing stacks it. Register a function with "
        "lightning_modules.populations.stacked.register, or train one candidate at a time"
    )


def check_decisive_methods(recommender: nn.Module, registry: Collection[type]) -> None:
    """Refuse a recommender that would be trained like its base class although it overrides a method of it.

    Args:
        recommender: The recommender.
        registry: The classes of recommenders that can be trained.

    Raises:
        UnmatchedError: If it overrides prediction or training, or trains on pairs.
    """
    kind, changed = overridden_methods(recommender, registry, _DECISIVE)
    name = type(recommender).__name__
    if changed:
        raise UnmatchedError(
            f"{name} cannot be trained as a population of {kind.__name__}, since it has its own {changed[0]}. "
            "Register a function of its own with lightning_modules.populations.stacked.register, or train one "
            "candidate at a time"
        )
    if getattr(recommender, "catalogue_metrics", None) is not None:
        raise UnmatchedError(f"{name} has cutoffs, and populations and compiled training rank no catalogues")


def overridden_methods(
    recommender: nn.Module, registry: Collection[type], names: Iterable[str]
) -> tuple[type, list[str]]:
    """Return the registered class of a recommender, and which methods it has otherwise than that class.

    Args:
        recommender: The recommender.
        registry: The classes of recommenders that can be trained, and object.
        names: Names of the methods to look at.
    """
    own = type(recommender)
    kind = next(kind for kind in own.__mro__ if kind in registry)
    if kind is object:
        return kind, []
    return kind, [name for name in names if getattr(own, name, None) is not getattr(kind, name, None)]


def stack(weight: Tensor, count: int) -> Tensor:
    """Return ``count`` copies of a weight along a new first dimension."""
    return weight.detach().unsqueeze(0).repeat(count, *(1 for _ in weight.shape))


def stack_parameter(parameter: Tensor, count: int) -> nn.Parameter:
    """Return ``count`` copies of a parameter along a new first dimension, trained if ``parameter`` is."""
    return nn.Parameter(stack(parameter, count), requires_grad=parameter.requires_grad)
