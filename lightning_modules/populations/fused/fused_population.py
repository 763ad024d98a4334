"""Candidates trained by compiled kernels, as a LightningModule."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from lightning_modules.losses import Loss
from lightning_modules.populations.fused import biased_mf, deep_mf  # noqa: F401 (register the models)
from lightning_modules.populations.fused.fused_model import check_fused, fused
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, SlopeCells, StepPlan
from lightning_modules.populations.fused.matching import StepSetting, matched_table
from lightning_modules.populations.fused.optimizers import Shared
from lightning_modules.populations.fused.steps import Steps
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.populations.measured_population import MeasuredPopulation
from lightning_modules.populations.validations import LastValidations


class FusedPopulation(MeasuredPopulation):
    """Copies of a recommender, each trained with its own loss by compiled kernels, many steps in one call.

    The result of every copy is that of a separate training, as in
    :class:`~lightning_modules.populations.population.Population`. Its training batches are :class:`Steps`. Copies are
    trained one after the other, or on as many threads as torch uses when this is built; their number changes no result.
    Training itself had better leave torch one thread, since its operations between the kernels are small.

    Args:
        recommender: The start of all copies, which stays unchanged. Its metrics measure them.
        losses: The losses; pointwise, for labels that are 0 or 1.
        limits: Gradient clipping of each copy.
        monitor: Name of the metric whose contributions of the rows are kept.
        settings: Learning rate and weight decay of each copy, in its optimizer's own meaning of them; ``None`` leaves
            the recommender's. By default all have the recommender's.
        validations: Says which validation counts, and when a copy's training ends; by default the last one counts.

    Raises:
        UnmatchedError: If the recommender or its optimizer cannot be matched.
    """

    def __init__(
        self,
        recommender: pl.LightningModule,
        losses: Sequence[Loss],
        *,
        limits: ClippingLimits,
        monitor: str = "",
        settings: Sequence[StepSetting | None] | None = None,
        validations: LastValidations | None = None,
    ) -> None:
        check_fused(recommender)
        optimizer = recommender.configure_optimizers()
        chosen = settings or [None] * len(losses)
        copies = [fused(recommender, matched_table(optimizer, recommender, setting)) for setting in chosen]
        super().__init__(recommender, losses, monitor, validations)
        self._copies = copies
        self._finite = [True] * len(losses)
        self._limits = limits
        self._threads = torch.get_num_threads()

    @property
    def is_finite(self) -> list[bool]:
        """Whether all derivatives in training were finite, for every loss."""
        return self._finite

    def configure_optimizers(self) -> Optimizer:
        """Return an optimizer of nothing: the kernels have their own, and Lightning wants one."""
        return SGD([torch.zeros(())], lr=0.0)

    def on_fit_start(self) -> None:
        """Compute the derivatives of the losses."""
        super().on_fit_start()
        self._slopes = slope_cells(self._slope_table)
        self._finite = [not error for error in self.errors]

    def training_step(self, batch: Steps) -> None:
        """Take the steps with every copy that runs and whose derivatives were finite so far.

        Raises:
            UnmatchedError: If a label is neither 0 nor 1.
        """
        train = partial(self._train, self._copies[0].planned(batch), {})
        alive = [number for number in self.validations.running if self._finite[number]]
        if self._threads == 1 or len(alive) == 1:
            # To start a thread takes as long as some steps.
            for number in alive:
                self._finite[number] = train(number)
            return
        with ThreadPoolExecutor(self._threads) as threads:
            trained = [threads.submit(train, number) for number in alive]
            try:
                for number, future in zip(alive, trained, strict=True):
                    self._finite[number] = future.result()
            finally:
                # After Ctrl-C or a time limit, those that have not begun would still be trained.
                threads.shutdown(cancel_futures=True)

    def _train(self, plan: StepPlan, shared: Shared, number: int) -> bool:
        return self._copies[number].train(plan, self._slopes[number], self._limits, shared)

    def logits(self, batch: Any, copies: Sequence[int]) -> Tensor:
        """Return the logit of every row of a batch under these copies, float [n, copies]."""
        return torch.stack([self._copies[number].logits(batch) for number in copies], dim=1)

    def weights(self, copies: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return the weights of these copies, each as a state of the recommender."""
        return [self._copies[number].state() for number in copies]


def slope_cells(table: SlopeTable) -> list[SlopeCells]:
    """Return the cells of every loss of a table."""
    bend, scale = np.float32(table.bend), np.float32(table.scale)
    return [SlopeCells(cells.numpy(), bend, scale) for cells in table.cells.chunk(len(table.errors))]
