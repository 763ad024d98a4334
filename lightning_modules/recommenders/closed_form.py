"""The base of recommenders that are solved instead of trained by gradients."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.optim import Optimizer

from datamodules.implicit.user_items import UserItems
from lightning_modules.recommenders.catalogue import CatalogueRecommender

_PRECISIONS = ("32-true", "64-true", "bf16-mixed")


class ClosedFormRecommender(CatalogueRecommender):
    """A recommender without a loss object, solved from all training rows in one step an epoch.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        cutoffs: Lengths of the recommendations that are measured.
    """

    #: That one batch an epoch is enough, whatever is in it; data modules choose their loader by it.
    trains_on_all_rows: ClassVar[bool] = True
    object_arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_users: int, num_items: int, *, cutoffs: Sequence[int] = (5, 10, 20)) -> None:
        super().__init__(num_users, num_items, cutoffs=cutoffs)
        self.automatic_optimization = False

    @abstractmethod
    def solve(self, items: UserItems) -> Tensor | None:
        """Find the weights, or better ones than before, from the items that users have in training.

        Returns:
            The value that is minimised, for the log, or None.
        """

    def check_loss(self) -> None:
        """Do nothing: there is no loss object."""

    def on_fit_start(self) -> None:
        """Refuse several processes, each of which would solve the same, and half precision."""
        super().on_fit_start()
        if self.trainer.world_size > 1:
            raise MisconfigurationException(
                f"{type(self).__name__} is solved in one process, and there are {self.trainer.world_size}: "
                "set --trainer.devices 1"
            )
        if self.trainer.precision not in _PRECISIONS:
            raise MisconfigurationException(
                f"{type(self).__name__} is solved in full precision, and the Trainer's is {self.trainer.precision}: "
                f"set --trainer.precision {_PRECISIONS[0]}"
            )

    def training_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002 (Lightning's signature)
        """Solve in the first step of an epoch."""
        if batch_idx > 0:
            return
        optimizer = self.optimizers()
        objective = optimizer.step(self._solved)  # type: ignore[union-attr]  # there is one
        if objective is not None:
            self.record_loss(objective)

    @torch.no_grad()
    def _solved(self) -> Tensor | None:
        # Equations are solved in full precision whatever the Trainer's is.
        with torch.autocast(self.device.type, enabled=False):
            return self.solve(self.training_items())

    def on_train_epoch_end(self) -> None:
        """Log the value that is minimised, if there is one."""
        if self._epoch_loss.count:
            super().on_train_epoch_end()

    def configure_optimizers(self) -> Optimizer:
        """Return what lets a solution count as a step, without which Lightning writes no checkpoint."""
        return SolutionStep(self.parameters())


class SolutionStep(Optimizer):
    """An optimizer whose step is what its closure does to the parameters."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # without a closure there is no step
        """Return what the closure returns."""
        return closure()
