"""The population as a LightningModule: its training steps, validation and optimizer."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric

from lightning_modules.core.trained_module import QuickHooks
from lightning_modules.losses import Loss
from lightning_modules.populations.clipping import Clipping, no_clipping
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.populations.lazy_optimizers import Fetched, RowOptimizer
from lightning_modules.populations.optimizer_matching import matched_optimizer
from lightning_modules.populations.sparse_rows import distinct_rows
from lightning_modules.populations.stacked_model import check_stacked, stacked
from lightning_modules.statistics.standard_errors import components_of


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


# Number of rows of the table, or of a validation batch, that are processed at a time outside training.
_MOST_ROWS = 1024


class Population(QuickHooks, pl.LightningModule):
    """K copies of a recommender, each trained with its own loss, under one Trainer.

    The result of every copy is that of a separate training with the same start, batches, optimizer and clipping, up to
    single precision and the interpolation of :class:`SlopeTable`.

    Args:
        recommender: The start of all copies, which stays unchanged. Its metrics measure them.
        losses: The losses; pointwise, for labels that are 0 or 1.
        clipping: Gradient clipping of each copy.
        monitor: Name of the metric whose contributions of the rows are kept.

    Attributes:
        copy_metrics: The metrics of every copy in the last validation, by name; empty before the first one.
        components: The contribution of every row to each copy's monitored metric; ``None`` for one that is no AUC.

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
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        check_stacked(recommender)
        self.copies = stacked(recommender, len(losses))
        self._matched = matched_optimizer(recommender.configure_optimizers(), recommender, self.copies)
        self.losses = nn.ModuleList(losses)
        self.metrics = copy.deepcopy(cast(Metric, recommender.metrics))
        self.clipping = clipping
        self.monitor = monitor
        self.copy_metrics: dict[str, list[float]] = {}
        self.components: Sequence[Tensor | None] = ()

    @property
    def errors(self) -> Sequence[str]:
        """The exception of each loss when its derivatives were computed, as text; empty if none."""
        return self._slope_table.errors

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
        self._slope_table = SlopeTable(cast(Iterable[Loss], self.losses), self.device)
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

    def on_validation_epoch_start(self) -> None:
        """Drop the rows of an interrupted validation."""
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def validation_step(self, batch: Any) -> None:
        """Add the batch to the validation rows."""
        self._labels.append(batch.label)
        self._logits += map(self._logit, _parts(batch))

    def _logit(self, batch: Any) -> Tensor:
        fetched, index = self._read(batch)
        return self.copies.logits(fetched.vectors, index)

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of every copy."""
        logits, label = torch.cat(self._logits).T.contiguous(), torch.cat(self._labels)
        measured, self.components = zip(*(self._measured(logit, label) for logit in logits), strict=True)
        self.copy_metrics = {name: [float(each[name]) for each in measured] for name in measured[0]}

    def _measured(self, logit: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        self.metrics.reset()
        self.metrics.update(logit, label)
        return self.metrics.compute(), components_of(self.metrics, self.monitor)

    @torch.no_grad()
    def weights(self) -> list[dict[str, Tensor]]:
        """Return every copy's weights as a state of the recommender, on the CPU."""
        # After training Lightning moves the module to the CPU, but not the optimizer's tensors.
        rows = torch.arange(len(self._rows.table), device=self._rows.table.device)
        table = torch.cat([self._rows.fetch(part).vectors.cpu() for part in rows.split(_MOST_ROWS)])
        states = [self.copies.unstacked(vectors, number) for number, vectors in enumerate(table.unbind(1))]
        # A slice would keep, and send to other processes, the weights of all copies.
        return [{name: value.cpu().clone() for name, value in state.items()} for state in states]


def _parts(batch: Any) -> Iterator[Any]:
    """Split a batch into batches of few rows."""
    for columns in zip(*(column.split(_MOST_ROWS) for column in batch), strict=True):
        yield type(batch)._make(columns)
