"""The population as a LightningModule: its training steps, validation and optimizer."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from lightning_modules.losses import Loss
from lightning_modules.populations.clipping import Clipping, no_clipping
from lightning_modules.populations.lazy_optimizers import Fetched, RowOptimizer
from lightning_modules.populations.measured_population import MeasuredPopulation
from lightning_modules.populations.optimizer_matching import matched_optimizer
from lightning_modules.populations.sparse_rows import distinct_rows
from lightning_modules.populations.stacked_model import check_decisive_methods, stacked
from lightning_modules.populations.validations import LastValidations


class PopulationOptimizer(Optimizer):
    """Combines a row optimizer for the table with a dense one for the parameters.

    Args:
        rows: The table's optimizer.
        dense: The parameters' optimizer; ``None`` if there are none.
    """

    def __init__(self, rows: RowOptimizer, dense: Optimizer | None) -> None:
        self.rows = rows
        self.dense = dense
        self._gradient: tuple[Fetched, Tensor] | None = None
        groups = [{"params": [rows.table]}] if dense is None else dense.param_groups
        super().__init__(groups, {"lr": rows.learning_rate})

    def receive(self, fetched: Fetched, gradient: Tensor, others: Iterable[Tensor]) -> None:
        """Set the gradients of the next step: of the fetched rows, and of every parameter."""
        self._gradient = fetched, gradient
        parameters = [] if self.dense is None else self.dense.param_groups[0]["params"]
        for parameter, each in zip(parameters, others, strict=True):
            # Fused kernels assume that a gradient has the memory layout of its parameter.
            parameter.grad = each.contiguous()

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take a step.

        Args:
            closure: Sets the gradients.
        """
        if closure is not None:
            closure()
        assert self._gradient is not None
        self.rows.step(*self._gradient)
        self._gradient = None
        if self.dense is not None:
            self.dense.step()


# Number of rows of the table that are processed at a time outside training.
_MOST_ROWS = 1024


class Population(MeasuredPopulation):
    """K copies of a recommender, each trained with its own loss, under one Trainer.

    The result of every copy is that of a separate training with the same start, batches, optimizer and clipping, up to
    single precision and the interpolation of :class:`SlopeTable`.

    Args:
        recommender: The start of all copies, which stays unchanged. Its metrics measure them.
        losses: The losses; pointwise, for labels that are 0 or 1.
        clipping: Gradient clipping of each copy.
        monitor: Name of the metric whose contributions of the rows are kept.
        validations: Says which validation counts, and when a copy's training ends; by default the last one counts.

    Raises:
        UnmatchedError: If the recommender or its optimizer cannot be matched.
    """

    def __init__(
        self,
        recommender: pl.LightningModule,
        losses: Sequence[Loss],
        *,
        clipping: Clipping = no_clipping,
        monitor: str = "",
        validations: LastValidations | None = None,
    ) -> None:
        check_decisive_methods(recommender, stacked.registry)
        copies = stacked(recommender, len(losses))
        super().__init__(recommender, losses, monitor, validations)
        self.copies = copies
        self._matched = matched_optimizer(recommender.configure_optimizers(), recommender, self.copies)
        self.clipping = clipping

    @property
    def is_finite(self) -> list[bool]:
        """Whether all derivatives in training were finite, for every loss."""
        return self._slope_sum.isfinite().tolist()

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer of the table and the parameters."""
        self._rows = self._matched.of_table(self.copies.table)
        self._optimizer = PopulationOptimizer(self._rows, self._matched.of_parameters(self.copies.trained_parameters()))
        return self._optimizer

    def on_fit_start(self) -> None:
        """Compute the derivatives of the losses."""
        super().on_fit_start()
        self._slope_sum = torch.zeros(len(self.losses), device=self.device)
        self._unlike_labels = torch.zeros((), device=self.device)

    def training_step(self, batch: Any) -> None:
        """Take a step of every copy."""
        fetched, index = self._read(batch)
        gradient, *others = self.copies.gradients(fetched.vectors, index, partial(self._slopes, label=batch.label))
        self.clipping(gradient, others)
        self._optimizer.receive(fetched, gradient, others)
        # Lightning's wrapper counts the step.
        cast(LightningOptimizer, self.optimizers()).step()

    def _read(self, batch: Any) -> tuple[Fetched, Tensor]:
        rows, index = distinct_rows(self.copies.rows(batch), len(self.copies.table) - 1)
        return self._rows.fetch(rows), index

    def _slopes(self, logit: Tensor, *, label: Tensor) -> Tensor:
        slope = self._slope_table.slopes(logit, label)
        self._slope_sum += slope.sum(dim=0)
        self._unlike_labels += (label * (1 - label)).abs().sum()
        return slope.div_(len(logit))

    def on_train_epoch_end(self) -> None:
        """Refuse labels other than 0 and 1, for which no derivatives were computed."""
        if self._unlike_labels:
            raise ValueError("a population trains on labels that are 0 or 1, and the training rows have others")

    def logits(self, batch: Any, copies: Sequence[int]) -> Tensor:
        """Return the logit of every row of a batch under these copies, float [n, copies]."""
        fetched, index = self._read(batch)
        return self.copies.logits(fetched.vectors, index)[:, list(copies)]

    @torch.no_grad()
    def weights(self, copies: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return the weights of these copies, each as a state of the recommender, on the CPU."""
        # After training Lightning moves the module to the CPU, but not the optimizer's tensors.
        rows = torch.arange(len(self._rows.table), device=self._rows.table.device)
        table = torch.cat([self._rows.fetch(part).vectors.cpu() for part in rows.split(_MOST_ROWS)])
        states = [self.copies.unstacked(table[:, number], number) for number in copies]
        # A slice would keep, and send to other processes, the weights of all copies.
        return [{name: value.cpu().clone() for name, value in state.items()} for state in states]
