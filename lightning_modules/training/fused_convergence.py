"""Trains a model to convergence with compiled kernels."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from lightning_modules.populations import MeasuredPopulation, UnmatchedError
from lightning_modules.populations.fused.steps import StepsDataModule
from lightning_modules.populations.trainer_matching import WHOLE_EPOCHS, difference, refuse_other_device, require_numba
from lightning_modules.training.convergence import ConvergenceTrainer
from lightning_modules.training.step_hooks import trainer_is_plain
from lightning_modules.training.trainers import fit
from lightning_modules.utilities.processes import torch_threads


def refuse_unlike(trainer: pl.Trainer, matched: Mapping[str, Any], own: Sequence[pl.Callback] = ()) -> None:
    """Refuse a Trainer that compiled kernels cannot match.

    Args:
        trainer: The Trainer.
        matched: The values that its attributes must have.
        own: The callbacks that it may have.

    Raises:
        UnmatchedError: If they cannot.
    """
    require_numba()
    if unlike := difference(trainer, matched, own):
        raise UnmatchedError(f"compiled kernels cannot match {unlike}")
    refuse_other_device(trainer)
    if not trainer_is_plain(trainer):
        raise UnmatchedError("the strategy, precision or profiler of the trainer changes single steps")


def fit_copies(trainer: pl.Trainer, population: MeasuredPopulation, datamodule: pl.LightningDataModule) -> None:
    """Train a population of compiled kernels, which have all threads.

    Args:
        trainer: The Trainer.
        population: The population, whose training batches are many steps.
        datamodule: The data, in batches of one step.
    """
    # Torch's operations between the kernels are too small for more threads than one. The data module is copied, since
    # it keeps a reference to its Trainer, which would be sent to workers with it.
    with torch_threads(1):
        fit(trainer, population, StepsDataModule(copy.copy(datamodule)))


class FusedConvergenceTrainer(ConvergenceTrainer):
    """A :class:`ConvergenceTrainer` whose steps compiled kernels take; the result is the same up to rounding.

    Args:
        arguments: Those of :class:`ConvergenceTrainer`.
        options: Its other arguments; its callbacks are told of many steps at a time.

    Raises:
        MisconfigurationException: If the Trainer cannot be built.
        UnmatchedError: If the kernels cannot match the Trainer; in ``fit``, the model, its optimizer, its loss or data.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        refuse_unlike(self.trainer, WHOLE_EPOCHS, self.callbacks)

    def train(self, model: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
        """Train a model."""
        # They take a third of a second to import, and not every command trains.
        from lightning_modules.populations.fused.fused_training import FusedTraining
        from lightning_modules.populations.fused.matching import matched_limits

        fit(self.trainer, FusedTraining(model, matched_limits(self.recipe)), StepsDataModule(datamodule))
