"""Builds the last stage of a search, in which finalists are trained to convergence, from the options."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from lightning_modules.search.finalist_training import FinalistTraining
from lightning_modules.search.finalists import Finalists
from lightning_modules.search.reports.measurement import Measurement, reward_length, tuned_words
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study_folder import StudyFolder
from lightning_modules.training.convergence import builder
from lightning_modules.training.executors import TrainingExecutor
from lightning_modules.training.tuning import Tuning

# Vectors begin near 0, and the metric may stand still for ten epochs once the biases are learned. Rewards may do with
# less, since the best of several settings counts.
_LEAST_EPOCHS = 20


def finalist_training(
    settings: SearchSettings,
    recommender: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    reward_data: pl.LightningDataModule,
    recipe: Mapping[str, Any],
    seed: int,
) -> FinalistTraining | None:
    """Return what trains finalists; ``None`` if there are none.

    Args:
        settings: The options.
        recommender: A model with its hyper-parameters saved; every training starts from a new one like it.
        datamodule: The data whose validation rows finalists are compared on.
        reward_data: The data of the trials.
        recipe: Arguments of every Trainer.
        seed: Seed of the first training; the next has one more, and so on.

    Raises:
        ValueError: If nothing is known of how to make a new model.
    """
    if not settings.finalists:
        return None
    try:
        build = builder(recommender)
    except ValueError as error:
        raise ValueError(f"{error}; --search.finalists 0 searches without training anything to convergence") from error
    return FinalistTraining(
        build,
        reward_data,
        datamodule,
        {**recipe, "max_epochs": settings.finalist_epochs},
        tuning=Tuning.default() if settings.tuning is None else settings.tuning.of_baseline,
        seeds=tuple(range(seed, seed + settings.finalist_seeds)),
        monitor=settings.monitor,
        mode=settings.mode,
        patience=_patience(settings, recipe),
        fused=settings.fused,
        population=settings.population,
    )


def _patience(settings: SearchSettings, recipe: Mapping[str, Any]) -> int:
    """Return after how many validations without a better metric the training of a finalist ends."""
    least = math.ceil(_LEAST_EPOCHS / (recipe.get("check_val_every_n_epoch") or 1))
    return max(least, 0 if settings.tuning is None else settings.tuning.patience)


def finalists_of(
    settings: SearchSettings, folder: StudyFolder, executor: TrainingExecutor, training: FinalistTraining
) -> Finalists:
    """Return the stage that trains the finalists which the folder does not hold yet."""
    return Finalists(
        executor,
        training,
        baseline=settings.compared_baseline,
        count=settings.finalists,
        known=folder.finalists,
        record=folder.record_finalist,
    )


def finalist_weight(settings: SearchSettings, recipe: Mapping[str, Any]) -> float:
    """Return how many candidates take about as long as a finalist, which is trained once a setting and seed.

    By the most epochs of both; the first finalist tells the true value.
    """
    tuning = Tuning.default() if settings.tuning is None else settings.tuning.of_baseline
    trainings = tuning.at_least + settings.finalist_seeds - 1
    epochs = max(1, _reward_epochs(settings, recipe) or 1)
    of_candidate = 1 if settings.tuning is None else len(settings.tuning.around(tuning.settings[0]).settings)
    return trainings * settings.finalist_epochs / (epochs * of_candidate)


def _reward_epochs(settings: SearchSettings, recipe: Mapping[str, Any]) -> int | None:
    return settings.halving.longest or recipe.get("max_epochs")


def measurement_of(settings: SearchSettings, recipe: Mapping[str, Any]) -> Measurement:
    """Return how rewards and finalists are measured, for reports."""
    epochs, baseline = _reward_epochs(settings, recipe), settings.compared_baseline.title
    return Measurement(
        monitor=settings.monitor,
        reward=reward_length(epochs, tuned_around="" if settings.tuning is None else baseline),
        holds_out=settings.holdout > 0,
        seeds=settings.finalist_seeds,
        most_epochs=settings.finalist_epochs,
        tuned=tuned_words(temperatures=settings.tuning is not None and len(settings.tuning.temperatures) > 0),
        baseline=baseline,
        relative=settings.relative,
        negated=settings.mode == "min",
    )
