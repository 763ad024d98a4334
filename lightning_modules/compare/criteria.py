"""What losses are compared by: the metric, what of it a trained model is measured for, and its bootstrap."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, cast, runtime_checkable

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.check import check_loss
from lightning_modules.losses import BCE, Loss, LossObject
from lightning_modules.search.settings import hand_made_losses, listwise_losses
from lightning_modules.statistics.auc import auc_standard_error, weighted_auc
from lightning_modules.statistics.bootstrap import bootstrap_aucs, bootstrap_means
from lightning_modules.training.predictions import Scores, scores, user_values


class Criterion(ABC):
    """A test metric, with its standard error and its bootstrap over the rows that it is computed of.

    Attributes:
        metric: The metric's name, without that of the split, such as ``auc``.
        title: Its name in tables and pictures.
        beside: Another metric that tables show beside it.
        beside_title: Its name there.
        unit: What a test row is, in the plural.
        parts: The titles of metrics that it is made of, by their names in columns; empty if it is one by itself.
    """

    metric: str
    title: str
    beside: str
    beside_title: str
    unit: str = "rows"
    parts: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def measure(self, trainer: pl.Trainer, model: pl.LightningModule, loader: Iterable[Any]) -> Scores:
        """Return what a trained model's metric is computed of, a number a row."""

    @abstractmethod
    def standard_error(self, measured: Scores) -> float:
        """Return the metric's standard error over the draw of the rows; nan if that is not known."""

    def figures(self, measured: Scores) -> dict[str, float]:  # noqa: ARG002 (for those that can be)
        """Return the metrics of a split by name, as far as they can be computed of what was measured."""
        return {}

    @abstractmethod
    def observed(self, score: Tensor, label: Tensor) -> Tensor:
        """Return the metric of the rows as they are: ``score`` [seeds, rows], ``label`` [rows] -> float64 [seeds].

        Where there are parts, float64 [seeds, parts].
        """

    @abstractmethod
    def bootstrap(
        self,
        scores: Sequence[Tensor],
        label: Tensor,
        groups: Tensor,
        *,
        resamples: int,
        generator: torch.Generator,
        progress: Callable[[int], None],
    ) -> list[Tensor]:
        """Return the metric under the same resamples of the rows for all losses.

        Args:
            scores: What each loss was measured for, float [seeds, rows].
            label: The labels of the rows, float [rows].
            groups: The group of each row, int64 [rows]; the rows of a group are drawn together.
            resamples: Number of resamples.
            generator: Source of the resamples.
            progress: Called with the number of resamples that are done.

        Returns:
            float64 [resamples, seeds] for each loss; where there are parts, [resamples, seeds, parts].
        """

    def combined(self, values: Tensor) -> Tensor:
        """Return the metric out of those of its parts: float64 [..., parts] -> [...]; without parts, the values."""
        return values

    @abstractmethod
    def default_losses(self) -> Sequence[LossObject]:
        """Return the losses that are compared where none are named, the baseline first."""

    def is_proper(self, loss: LossObject, generator: torch.Generator) -> bool:  # noqa: ARG002 (for those that can be)
        """Return whether a loss is a strictly proper scoring rule; the generator draws the points to look at."""
        return False

    def units(self, *, by_user: bool, user: Tensor) -> str:
        """Return what a resample is drawn of, in words: ``user`` is the user of each row, int64 [rows]."""
        return f"{len(user.unique())} users" if by_user else "rows"

    def rows(self, label: Tensor) -> str:
        """Return what the test rows are, in words: ``label`` is float [rows]."""
        return f"{len(label)} test rows, {int(label.sum())} of them positive"

    def shows_beside(self, *, proper: bool) -> bool:  # noqa: ARG002 (criteria differ in what they look at)
        """Return whether the metric beside this one means anything for a loss that is a proper scoring rule or not."""
        return True


class AreaUnderCurve(Criterion):
    """The area under the ROC curve over all rows, of models that give every row a probability."""

    metric = "auc"
    title = "AUC"
    beside = "log_loss"
    beside_title = "log-loss"

    def measure(self, trainer: pl.Trainer, model: pl.LightningModule, loader: Iterable[Any]) -> Scores:
        """Return the logits of the rows."""
        return scores(trainer, model, loader)

    def standard_error(self, measured: Scores) -> float:
        """Return the standard error of DeLong et al. over independent rows."""
        return auc_standard_error(measured.score, measured.label)

    def figures(self, measured: Scores) -> dict[str, float]:
        """Return the AUC, and the log-loss of scores that are probabilities; nan of others."""
        score, label = measured.score.double(), measured.label.double()
        is_probability = bool(((score >= 0) & (score <= 1)).all())
        log_loss = float(F.binary_cross_entropy(score, label)) if is_probability else math.nan
        return {"auc": float(self.observed(measured.score[None], measured.label)), "log_loss": log_loss}

    def observed(self, score: Tensor, label: Tensor) -> Tensor:
        """Return the AUCs, float64 [seeds]."""
        once = label.new_ones(1, len(label))
        return torch.cat([weighted_auc(each, label, once) for each in score])

    def bootstrap(
        self,
        scores: Sequence[Tensor],
        label: Tensor,
        groups: Tensor,
        *,
        resamples: int,
        generator: torch.Generator,
        progress: Callable[[int], None],
    ) -> list[Tensor]:
        """Return the AUCs under the resamples; nan where one has a single class."""
        return bootstrap_aucs(scores, label, groups, resamples=resamples, generator=generator, progress=progress)

    def default_losses(self) -> Sequence[LossObject]:
        """Return BCE and the common pointwise losses."""
        return [BCE(), *hand_made_losses()]

    def is_proper(self, loss: LossObject, generator: torch.Generator) -> bool:
        """Return whether a loss is a strictly proper scoring rule."""
        return check_loss(cast(Loss, loss), generator=generator).proper == "yes"

    def shows_beside(self, *, proper: bool) -> bool:
        """Return whether the loss is a proper scoring rule: probabilities of others mean nothing."""
        return proper


class MeanOverUsers(Criterion):
    """A ranking metric's mean over users, of models that rank a catalogue.

    Args:
        metric: The metric, such as ``ndcg@20``.
    """

    unit = "users"

    def __init__(self, metric: str) -> None:
        name, _, cutoff = metric.partition("@")
        self.metric = metric
        self.title = metric.upper() if name in ("ndcg", "map", "mrr") else metric.replace("_", " ").capitalize()
        self.beside = f"ndcg@{cutoff}" if name == "recall" else f"recall@{cutoff}"
        self.beside_title = f"NDCG@{cutoff}" if name == "recall" else f"recall@{cutoff}"

    def measure(self, trainer: pl.Trainer, model: pl.LightningModule, loader: Iterable[Any]) -> Scores:
        """Return the metric of every user who has something to be recommended."""
        values = cast(RanksCatalogue, model).user_values
        return user_values(trainer, model, loader, partial(values, metric=self.metric))

    def standard_error(self, measured: Scores) -> float:
        """Return the standard error of a mean over independent users."""
        return float(measured.score.double().std() / len(measured.score) ** 0.5)

    def observed(self, score: Tensor, label: Tensor) -> Tensor:  # noqa: ARG002 (users have no label)
        """Return the means, float64 [seeds]."""
        return score.double().mean(1)

    def bootstrap(
        self,
        scores: Sequence[Tensor],
        label: Tensor,  # noqa: ARG002 (users have no label)
        groups: Tensor,
        *,
        resamples: int,
        generator: torch.Generator,
        progress: Callable[[int], None],
    ) -> list[Tensor]:
        """Return the means under the resamples."""
        return bootstrap_means(scores, groups, resamples=resamples, generator=generator, progress=progress)

    def default_losses(self) -> Sequence[LossObject]:
        """Return sampled softmax and the other listwise losses."""
        return listwise_losses()

    def units(self, *, by_user: bool, user: Tensor) -> str:  # noqa: ARG002 (a row is a user)
        """Return the number of users: rows and users are the same here."""
        return f"{len(user)} users"

    def rows(self, label: Tensor) -> str:
        """Return the number of users and of the items that were to be recommended to them."""
        return f"{len(label)} test users with {int(label.sum())} items"


@runtime_checkable
class RanksCatalogue(Protocol):
    """Models that rank all items for a user."""

    def user_values(self, batch: Any, metric: str) -> Tensor:
        """Return a ranking metric of every user of a batch, float [users]; nan of those without relevant items."""
