"""The interface of recommenders that compiled kernels train."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from torch import Tensor, nn

from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, SlopeCells, StepPlan
from lightning_modules.populations.fused.optimizers import TableFactory
from lightning_modules.populations.stacked_model import UnmatchedError, check_decisive_methods


class FusedModel(ABC):
    """One copy of a recommender whose weights a kernel trains."""

    @abstractmethod
    def plan(self, samples: Any, steps: Sequence[int]) -> StepPlan:
        """Return the plan of training steps, which serves every copy.

        Args:
            samples: Columns of the samples, each of shape [n], in the order of the steps.
            steps: First sample of each step, and n.
        """

    @abstractmethod
    def train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits) -> bool:
        """Take the steps of a plan and return whether all derivatives of the loss were finite."""

    @abstractmethod
    def logits(self, batch: Any) -> Tensor:
        """Return the logit of every row of a batch after the steps taken, float [n]."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return the weights after the steps taken as a state of the recommender."""


@singledispatch
def fused(recommender: nn.Module, table: TableFactory) -> FusedModel:  # noqa: ARG001 (of the registered functions)
    """Return a copy of a recommender for kernels; ``fused.register`` adds another class of recommenders.

    Raises:
        UnmatchedError: If no function is registered for its class.
    """
    raise _unregistered(recommender)


def _unregistered(recommender: nn.Module) -> UnmatchedError:
    return UnmatchedError(f"no compiled kernel trains {type(recommender).__name__}")


def check_fused(recommender: nn.Module) -> None:
    """Refuse a recommender that kernels cannot train.

    Raises:
        UnmatchedError: If nothing is registered for its class, or it overrides what determines the training.
    """
    if fused.dispatch(type(recommender)) is fused.dispatch(object):
        raise _unregistered(recommender)
    check_decisive_methods(recommender, fused.registry)
