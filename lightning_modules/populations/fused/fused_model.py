"""The interface of recommenders that compiled kernels train."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from datamodules.batches import Batch
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, Rows, SlopeCells, StepPlan
from lightning_modules.populations.fused.optimizers import Shared, TableFactory
from lightning_modules.populations.fused.steps import Steps
from lightning_modules.populations.optimizer_matching import untrained
from lightning_modules.populations.stacked_model import UnmatchedError, check_decisive_methods, overridden_methods

# What Lightning calls of a module, but for evaluation and checkpoints of the trained one.
_HOOKS = [
    name
    for name in dir(pl.LightningModule)
    if not name.startswith("_") and {*name.split("_")}.isdisjoint({"test", "predict", "checkpoint"})
]


class FusedModel(ABC):
    """One copy of a recommender whose weights a kernel trains."""

    def planned(self, steps: Steps) -> StepPlan:
        """Return the plan of training steps, which serves every copy.

        Raises:
            UnmatchedError: If a label is neither 0 nor 1.
        """
        if ((steps.rows.label != 0) & (steps.rows.label != 1)).any():
            raise UnmatchedError("the training rows have labels other than 0 and 1, which no compiled kernel can do")
        return self.plan(steps.rows, steps.starts)

    @abstractmethod
    def plan(self, samples: Any, steps: Sequence[int]) -> StepPlan:
        """Return the plan of training steps whose labels are 0 or 1; see :meth:`planned`.

        Args:
            samples: Columns of the samples, each of shape [n], in the order of the steps.
            steps: First sample of each step, and n.
        """

    @abstractmethod
    def train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:
        """Take the steps of a plan and return whether all derivatives of the loss were finite.

        See :meth:`~lightning_modules.populations.fused.optimizers.FusedTable.train`.
        """

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
        UnmatchedError: If nothing is registered for its class, or it overrides what determines training or validation.
    """
    if fused.dispatch(type(recommender)) is fused.dispatch(object):
        raise _unregistered(recommender)
    check_decisive_methods(recommender, fused.registry)
    _, changed = overridden_methods(recommender, fused.registry, _HOOKS)
    if changed:
        raise UnmatchedError(
            f"{type(recommender).__name__} has its own {changed[0]}, which compiled training leaves out"
        )


def rows_of(batch: Batch, num_users: int, num_items: int) -> tuple[Rows, Rows]:
    """Return the rows of a batch's users and items in a table of one other row, the users and the items.

    Raises:
        IndexError: If the model has no such user or item; a kernel would read and write beyond its table.
    """
    _refuse_unknown("user", batch.user, num_users)
    _refuse_unknown("item", batch.item, num_items)
    user, item = (column.numpy().astype(np.int32) for column in (batch.user, batch.item))
    return user + np.int32(1), item + np.int32(1 + num_users)


def _refuse_unknown(name: str, index: Tensor, size: int) -> None:
    if not len(index):
        return
    least, largest = torch.aminmax(index)
    if least < 0 or largest >= size:
        unknown = int(least if least < 0 else largest)
        raise IndexError(
            f"the model has {size} {name}s, and a batch has the {name} number {unknown}: build the model with the "
            f"data module's num_{name}s"
        )


def refuse_fixed(recommender: nn.Module, *, other_than: str) -> None:
    """Refuse a recommender with parameters that are not trained, other than those below a module.

    Args:
        recommender: The recommender.
        other_than: Name of the module; empty for none.

    Raises:
        UnmatchedError: If there are such parameters.
    """
    fixed = [name for name in sorted(untrained(recommender)) if name.split(".")[0] != other_than]
    if fixed:
        raise UnmatchedError(f"{fixed[0]} is not trained, which no compiled kernel can do")
