"""Trains a model with several losses and settings at once with compiled kernels, each until its metric stops rising."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import BCE, Loss
from lightning_modules.populations import MeasuredPopulation, UnmatchedError
from lightning_modules.populations.trainer_matching import ENDS_ANY_TIME, OWN_CLIPPING, WHOLE_EPOCHS
from lightning_modules.populations.validations import BestValidations, CopyValidation
from lightning_modules.statistics.single_metric import VALIDATION, metric_name
from lightning_modules.training.fused_convergence import fit_copies, refuse_unlike
from lightning_modules.training.random_numbers import seed_random_numbers
from lightning_modules.training.trainers import scoring_trainer
from lightning_modules.training.tuning import Setting

if TYPE_CHECKING:
    from lightning_modules.populations.fused.fused_population import FusedPopulation


@dataclass(frozen=True)
class StackedRun:
    """A training that ended.

    Attributes:
        metric: The metric of its best validation.
        score: The same, negated where less is better.
        weights: The weights at that time, as a state of the model.
        epoch: The epoch of that validation, counted from 1; 0 if there is none.
        epochs: Epochs that were trained.
        converged: Whether early stopping ended it.
        is_finite: Whether all derivatives and the metric were finite.
        error: The exception that the loss has raised, as text; empty if none.
    """

    metric: float
    score: float
    weights: Mapping[str, Tensor]
    epoch: int
    epochs: int
    converged: bool
    is_finite: bool
    error: str


class TrainedEpochs(pl.Callback):
    """Counts the epochs of every copy of a population: validations may be fewer.

    Attributes:
        counts: Epochs that each copy has begun, also those of one that ended in the middle of its last.
    """

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Begin to count."""
        self.counts = [0] * len(cast(MeasuredPopulation, pl_module).is_finite)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Count the epoch of every copy that is trained in it."""
        population = cast(MeasuredPopulation, pl_module)
        for number in population.validations.running:
            self.counts[number] += population.is_finite[number]


class FusedGridTrainer:
    """Trains copies of a model that differ in their loss and setting; each ends as a training of its own does.

    Args:
        recipe: Arguments of the Trainer; early stopping and checkpoints of its own are left out.
        monitor: The validation metric that decides when a copy ends and which epoch is best.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a copy ends.

    Raises:
        MisconfigurationException: If the Trainer cannot be built.
        UnmatchedError: If the kernels cannot match the Trainer; in ``check`` and ``fit``, the model or its optimizer;
            in ``fit``, a loss or the data.
    """

    def __init__(self, recipe: Mapping[str, Any], monitor: str, mode: Literal["max", "min"], *, patience: int) -> None:
        if not monitor.startswith(VALIDATION):
            raise UnmatchedError(f"compiled kernels measure the model's own metrics, of which '{monitor}' is none")
        self.recipe = recipe
        self.metric = metric_name(monitor)
        self.mode = mode
        self.patience = patience
        self.epochs = TrainedEpochs()
        self.trainer = scoring_trainer(recipe, [self.epochs], **OWN_CLIPPING)
        refuse_unlike(self.trainer, {**WHOLE_EPOCHS, **ENDS_ANY_TIME}, [self.epochs])

    def check(self, model: pl.LightningModule) -> None:
        """Refuse a model that the kernels cannot train."""
        self._population(model, [BCE()], None, None)

    def _population(
        self,
        model: pl.LightningModule,
        losses: Sequence[Loss],
        settings: Sequence[Setting] | None,
        validations: BestValidations | None,
    ) -> "FusedPopulation":
        # Its kernels take a third of a second to import, and not every command trains.
        from lightning_modules.populations.fused.fused_population import FusedPopulation
        from lightning_modules.populations.fused.matching import matched_limits

        limits = matched_limits(self.recipe)
        return FusedPopulation(model, losses, limits=limits, settings=settings, validations=validations)

    def fit(
        self,
        build: Callable[[], pl.LightningModule],
        losses: Sequence[Loss],
        settings: Sequence[Setting],
        datamodule: pl.LightningDataModule,
        seed: int,
    ) -> list[StackedRun]:
        """Train a copy with every loss and its setting.

        Args:
            build: Returns the model; what is random in it depends on the seed.
            losses: The loss of every copy.
            settings: The setting of every copy.
            datamodule: What they are trained and validated on.
            seed: Seed of the model and of the order of the batches.
        """
        seed_random_numbers(seed)
        validations = BestValidations(len(settings), self.metric, self.mode, patience=self.patience, keep_weights=True)
        population = self._population(build(), losses, settings, validations)
        # Again, as in a training of its own.
        seed_random_numbers(seed)
        fit_copies(self.trainer, population, datamodule)
        return self._runs(population, validations)

    def _runs(self, population: MeasuredPopulation, validations: BestValidations) -> list[StackedRun]:
        scores = map(validations.score, validations.counted)
        converged = [waited >= self.patience for waited in validations.waited]
        ends = zip(validations.counted, scores, self.epochs.counts, converged, population.is_finite, strict=True)
        return [self._run(*end, error) for end, error in zip(ends, population.errors, strict=True)]

    def _run(
        self, best: CopyValidation, score: float, epochs: int, converged: bool, finite: bool, error: str
    ) -> StackedRun:
        return StackedRun(
            metric=best.metrics.get(self.metric, math.nan),
            score=score,
            weights=best.weights or {},
            epoch=best.epoch,
            epochs=epochs,
            converged=converged,
            is_finite=finite and math.isfinite(score),
            error=error,
        )
