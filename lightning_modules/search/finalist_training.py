"""Trains a finalist of a search to convergence, tuned, with several seeds, and scores it on the validation rows."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import LossObject
from lightning_modules.search.answer import FinalistRun
from lightning_modules.search.evaluation import RewardRows
from lightning_modules.search.executors import Shared
from lightning_modules.search.reward_tuning import TEMPERATURE
from lightning_modules.statistics.standard_errors import in_blocks
from lightning_modules.training.full_training import DIVERGED, TRAINED, FullTraining, TrainingRun
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.trainers import scoring_trainer
from lightning_modules.training.tuning import Setting, Tuning


class FinalistTraining:
    """Trains finalists as a comparison trains its losses, and leaves the test rows alone.

    Args:
        build: Returns a freshly initialised model.
        training_data: The training rows, and the rows that tell when to stop and which setting is best.
        validation_data: Its validation rows are those that finalists are scored on.
        recipe: Arguments of every Trainer, ``max_epochs`` among them.
        tuning: Finds the setting of a finalist, with the first seed.
        seeds: Seeds of the trainings.
        monitor: The metric.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a training ends.
        fused: Whether compiled kernels train where they match.
        population: The most settings that these train at once.
    """

    def __init__(
        self,
        build: Callable[[], pl.LightningModule],
        training_data: pl.LightningDataModule,
        validation_data: pl.LightningDataModule,
        recipe: Mapping[str, Any],
        *,
        tuning: Tuning,
        seeds: tuple[int, ...],
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        patience: int = 5,
        fused: bool = True,
        population: int = 1,
    ) -> None:
        self.validation_data = validation_data
        self.recipe = recipe
        self.tuning = tuning
        self.seeds = seeds
        self.most_epochs = int(recipe["max_epochs"])
        self.monitor = monitor
        self.mode = mode
        self._training = FullTraining(
            build,
            training_data,
            recipe,
            monitor=monitor,
            mode=mode,
            patience=patience,
            fused=fused,
            population=population,
        )

    def train(self, loss: LossObject) -> list[FinalistRun]:
        """Tune a loss, train it with every seed and score it; what it raises is an outcome too.

        Raises:
            KeyboardInterrupt: If the user interrupted a training.
            MisconfigurationException: If a Trainer cannot be built.
        """
        start = time.perf_counter()
        setting, run = self._tune(loss)
        runs = [self._validated(loss, self.seeds[0], setting, run, start)]
        for seed in self.seeds[1:]:
            start = time.perf_counter()
            run = self._training.train(loss, seed, setting)
            runs.append(self._validated(loss, seed, setting, run, start))
        return runs

    def _tune(self, loss: LossObject) -> tuple[Setting, TrainingRun]:
        """Return the best setting and its training."""
        best: list[TrainingRun] = []

        def train(settings: Sequence[Setting]) -> list[float]:
            runs = self._training.train_all(loss, self.seeds[0], settings)
            # The first of equals, as the setting.
            best[:] = [max([*best, *runs], key=lambda run: run.score)]
            return [run.score for run in runs]

        setting = self.tuning.of_loss(loss).best(train)
        return setting, best[0]

    def _validated(self, loss: LossObject, seed: int, setting: Setting, run: TrainingRun, start: float) -> FinalistRun:
        """Return a training that began at a time, with its score on the validation rows."""
        status, score, components = self._score(run)
        return FinalistRun(
            name=loss.title,
            seed=seed,
            status=status,
            score=score,
            epoch=run.epoch,
            learning_rate=setting.learning_rate,
            weight_decay=setting.weight_decay,
            seconds=time.perf_counter() - start,
            error=run.error,
            most_epochs=self.most_epochs,
            components=components,
            temperature=dict(setting.options).get(TEMPERATURE),
        )

    def _score(self, run: TrainingRun) -> tuple[str, float | None, Tensor | None]:
        """Return the status of a training, its score on the validation rows, and what these contribute to it."""
        if run.status != TRAINED or run.model is None:
            return run.status, None, None
        rows = RewardRows(self.monitor)
        with quiet_lightning():
            trainer = scoring_trainer(self.recipe, [rows], limit_val_batches=1.0)
            # A copy, since a data module keeps a reference to its Trainer.
            data = copy.copy(self.validation_data)
            (metrics,) = trainer.validate(run.model, datamodule=data, verbose=False)
        score = metrics[self.monitor] if self.mode == "max" else -metrics[self.monitor]
        return (TRAINED, score, in_blocks(rows.components)) if math.isfinite(score) else (DIVERGED, None, None)


def train_finalist(training: Shared[FinalistTraining], loss: LossObject) -> list[FinalistRun]:
    """Train a finalist in the process that calls this."""
    return training.get().train(loss)
