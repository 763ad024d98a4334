"""What populations of candidates share: their metrics in validation."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_modules.core.trained_module import QuickHooks
from lightning_modules.losses import Loss
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.statistics.standard_errors import components_of

# Number of rows of a validation batch that are processed at a time.
_MOST_ROWS = 1024


class MeasuredPopulation(QuickHooks, pl.LightningModule, ABC):
    """Candidates, each trained with its own loss, whose metrics are measured together under one Trainer.

    Args:
        recommender: The start of all candidates, whose metrics measure them.
        losses: The losses; pointwise, for labels that are 0 or 1.
        monitor: Name of the metric whose contributions of the rows are kept.

    Attributes:
        copy_metrics: The metrics of every candidate in the last validation, by name; empty before the first one.
        components: The contribution of every row to each candidate's monitored metric; ``None`` for one that is no AUC.
    """

    def __init__(self, recommender: pl.LightningModule, losses: Sequence[Loss], monitor: str) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.losses = nn.ModuleList(losses)
        self.metrics = copy.deepcopy(cast(Metric, recommender.metrics))
        self.monitor = monitor
        self.copy_metrics: dict[str, list[float]] = {}
        self.components: Sequence[Tensor | None] = ()

    @property
    def errors(self) -> Sequence[str]:
        """The exception of each loss when its derivatives were computed, as text; empty if none."""
        return self._slope_table.errors

    @property
    @abstractmethod
    def is_finite(self) -> list[bool]:
        """Whether all derivatives in training were finite, for every loss."""

    @abstractmethod
    def logits(self, batch: Any) -> Tensor:
        """Return the logit of every row of a batch under every candidate, float [n, K]."""

    @abstractmethod
    def weights(self) -> list[dict[str, Tensor]]:
        """Return every candidate's weights as a state of the recommender, on the CPU."""

    def on_fit_start(self) -> None:
        """Compute the derivatives of the losses."""
        self._slope_table = SlopeTable(cast(Sequence[Loss], self.losses), self.device)

    def on_validation_epoch_start(self) -> None:
        """Drop the rows of an interrupted validation."""
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def validation_step(self, batch: Any) -> None:
        """Add the batch to the validation rows."""
        self._labels.append(batch.label)
        self._logits += map(self.logits, _parts(batch))

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of every candidate."""
        logits, label = torch.cat(self._logits).T.contiguous(), torch.cat(self._labels)
        measured, self.components = zip(*(self._measured(logit, label) for logit in logits), strict=True)
        self.copy_metrics = {name: [float(each[name]) for each in measured] for name in measured[0]}

    def _measured(self, logit: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        self.metrics.reset()
        self.metrics.update(logit, label)
        return self.metrics.compute(), components_of(self.metrics, self.monitor)


def _parts(batch: Any) -> Iterator[Any]:
    """Split a batch into batches of few rows."""
    for columns in zip(*(column.split(_MOST_ROWS) for column in batch), strict=True):
        yield type(batch)._make(columns)
