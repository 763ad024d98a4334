"""One recommender that compiled kernels train, as a LightningModule."""

import math
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.core.trained_module import QuickHooks, TrainedModule
from lightning_modules.losses import Loss
from lightning_modules.populations.fused.fused_model import check_fused, fused
from lightning_modules.populations.fused.fused_population import slope_cells
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits
from lightning_modules.populations.fused.matching import matched_table
from lightning_modules.populations.fused.steps import Steps
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.populations.stacked_model import UnmatchedError


class FusedTraining(QuickHooks, pl.LightningModule):
    """A recommender, trained as under a Trainer of its own, but many steps in one: a training batch is :class:`Steps`.

    It has the recommender's weights, optimizer and validation metrics, so that a Trainer's early stopping, checkpoints
    and callbacks that look at epochs work as with the recommender. The optimizer's own step changes nothing, since no
    parameter has a gradient; the kernels take its settings, as they are when training starts.

    Args:
        recommender: The recommender, with its loss: pointwise, for labels that are 0 or 1.
        limits: Gradient clipping.

    Raises:
        UnmatchedError: If the recommender cannot be matched. When training starts, also if its optimizer or loss cannot
            be.
    """

    def __init__(self, recommender: pl.LightningModule, limits: ClippingLimits) -> None:
        check_fused(recommender)
        super().__init__()
        self.recommender = cast(TrainedModule, recommender)
        self._limits = limits
        self._finite = True

    def state_dict(self, **options: Any) -> dict[str, Any]:  # type: ignore[override]  # as Lightning calls it
        """Return the state of the recommender."""
        return self.recommender.state_dict(**options)

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the recommender."""
        return self.recommender.configure_optimizers()

    def configure_gradient_clipping(self, *arguments: Any, **options: Any) -> None:
        """Leave the clipping to the kernels: here are no gradients."""

    def on_fit_start(self) -> None:
        """Compute the derivatives of the loss."""
        self.recommender.check_loss()
        loss = cast(Loss, self.recommender.loss)
        table = SlopeTable([loss], self.device)
        if table.errors[0]:
            raise UnmatchedError(f"the derivatives of {loss.title} cannot be computed: {table.errors[0]}")
        (self._slopes,) = slope_cells(table)

    def on_train_start(self) -> None:
        """Take the settings of the optimizer, which callbacks may have set."""
        (optimizer,) = self.trainer.optimizers
        self._copy = fused(self.recommender, matched_table(optimizer, self.recommender))
        if self._copy.state().keys() != self.recommender.state_dict().keys():
            raise UnmatchedError(f"{type(self.recommender).__name__} has weights that no compiled kernel trains")

    def training_step(self, batch: Steps) -> Tensor:
        """Take the steps, and return nan if a derivative of the loss was not finite, else 0."""
        plan = self._copy.planned(batch)
        self._finite = self._finite and self._copy.train(plan, self._slopes, self._limits, {})
        self._count(len(batch.starts) - 2)
        state = self._copy.state()
        if not self._finite:
            # As gradients that are not finite would leave them.
            state = {name: torch.full_like(weight, math.nan) for name, weight in state.items()}
        self.recommender.load_state_dict(state)
        return torch.tensor(0.0 if self._finite else math.nan, requires_grad=True)

    def _count(self, more: int) -> None:
        """Count the steps beyond the one that Lightning counts, so that checkpoints tell their number."""
        progress = self.trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
        for counter in (progress.total, progress.current):
            counter.ready += more
            counter.completed += more

    def on_validation_epoch_start(self) -> None:
        """Forget the rows of a validation that was interrupted."""
        self.recommender.on_validation_epoch_start()

    def validation_step(self, batch: Any) -> None:
        """Add the batch to the validation rows."""
        self.recommender.validation_step(batch)

    def on_validation_epoch_end(self) -> None:
        """Hand out the metrics of the recommender."""
        metrics = self.recommender.metrics
        named = {f"val/{name}": value for name, value in metrics.compute().items()}
        if self.trainer.loggers:
            self.log_dict(named, batch_size=1)
        else:
            # Only callbacks look at them then, and to log them takes longer than the steps of a short epoch.
            self.trainer.callback_metrics.update(named)
        metrics.reset()
