"""What populations of candidates share: their metrics in validation."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_modules.core.trained_module import QuickHooks
from lightning_modules.losses import Loss
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.populations.validations import CopyValidation, LastValidations
from lightning_modules.statistics.single_metric import metrics_of_each
from lightning_modules.statistics.standard_errors import components_of

# Number of rows of a validation batch that are processed at a time.
_MOST_ROWS = 1024


class MeasuredPopulation(QuickHooks, pl.LightningModule, ABC):
    """Candidates, each trained with its own loss, whose metrics are measured together under one Trainer.

    Args:
        recommender: The start of all candidates, whose metrics measure them.
        losses: The losses; pointwise, for labels that are 0 or 1.
        monitor: Name of the metric whose contributions of the rows are kept.
        validations: Says which validation counts, and when a candidate's training ends; by default the last one counts.

    Attributes:
        validations: The same.
    """

    def __init__(
        self,
        recommender: pl.LightningModule,
        losses: Sequence[Loss],
        monitor: str,
        validations: LastValidations | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.losses = nn.ModuleList(losses)
        self.metrics = copy.deepcopy(cast(Metric, recommender.metrics))
        self.monitor = monitor
        self.validations = validations or LastValidations(len(losses))

    @property
    def errors(self) -> Sequence[str]:
        """The exception of each loss when its derivatives were computed, as text; empty if none."""
        return self._slope_table.errors

    @property
    @abstractmethod
    def is_finite(self) -> list[bool]:
        """Whether all derivatives in training were finite, for every loss."""

    @abstractmethod
    def logits(self, batch: Any, copies: Sequence[int]) -> Tensor:
        """Return the logit of every row of a batch under these candidates, float [n, copies]."""

    @abstractmethod
    def weights(self, copies: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return the weights of these candidates, each as a state of the recommender, on the CPU."""

    def on_fit_start(self) -> None:
        """Compute the derivatives of the losses."""
        self._slope_table = SlopeTable(cast(Sequence[Loss], self.losses), self.device)

    def on_validation_epoch_start(self) -> None:
        """Drop the rows of an interrupted validation."""
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._users: list[Tensor] = []

    def validation_step(self, batch: Any) -> None:
        """Add the batch to the validation rows."""
        self._labels.append(batch.label)
        self._users.append(batch.user)
        self._logits += [self.logits(part, self.validations.running) for part in _parts(batch)]

    def on_validation_epoch_end(self) -> None:
        """Measure the candidates that are still trained, and end the training with the last of them."""
        logits, label = torch.cat(self._logits).T.contiguous(), torch.cat(self._labels)
        metrics = metrics_of_each(self.metrics, self.validations.metric, logits, label)
        for number, found, logit in zip([*self.validations.running], metrics, logits, strict=True):
            self._take_in(number, found, logit)
        for number, finite in enumerate(self.is_finite):
            if not finite and number in self.validations.running:
                self.validations.end(number)
        if not self.validations.running:
            self.trainer.should_stop = True

    def _take_in(self, number: int, metrics: dict[str, float], logit: Tensor) -> None:
        """Take in the validation of a candidate."""
        found = CopyValidation(self.trainer.current_epoch + 1, metrics, logit)
        if self.validations.counts(number, found):
            weights = self.weights([number])[0] if self.validations.keep_weights else None
            self.validations.counted[number] = replace(found, weights=weights)

    def components(self) -> list[Tensor | None]:
        """Return the contribution of every user to each candidate's monitored metric in the validation that counts.

        Returns:
            Float [users] for every candidate; ``None`` for one that was not validated, and for a metric without
            components.
        """
        logits = [validation.logit for validation in self.validations.counted]
        if all(logit is None for logit in logits):
            return [None] * len(logits)
        label, user = torch.cat(self._labels), torch.cat(self._users)
        return [None if logit is None else self._components(logit, label, user) for logit in logits]

    def _components(self, logit: Tensor, label: Tensor, user: Tensor) -> Tensor | None:
        self.metrics.reset()
        self.metrics.update(logit, label, user)
        return components_of(self.metrics, self.monitor)


def _parts(batch: Any) -> Iterator[Any]:
    """Split a batch into batches of few rows."""
    for columns in zip(*(column.split(_MOST_ROWS) for column in batch), strict=True):
        yield type(batch)._make(columns)
