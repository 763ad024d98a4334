"""Trains finalists of a search to convergence, tuned, with several seeds, and scores them on the validation rows."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import LossObject
from lightning_modules.search.answer import FinalistRun
from lightning_modules.search.evaluation import RewardRows
from lightning_modules.search.reward_tuning import TUNED_OPTION
from lightning_modules.statistics.standard_errors import in_blocks
from lightning_modules.training.executors import Shared
from lightning_modules.training.full_training import FullTraining, TrainingRun
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.statuses import DIVERGED, TRAINED
from lightning_modules.training.trainers import scoring_trainer
from lightning_modules.training.tuning import Setting, Tuning, best_settings


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
        population: The most losses and settings that these train at once.
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
        self.training = FullTraining(
            build,
            training_data,
            recipe,
            monitor=monitor,
            mode=mode,
            patience=patience,
            fused=fused,
            population=population,
        )

    @property
    def group(self) -> int:
        """The most finalists to train at once: those whose grids fit the population together."""
        return max(1, self.training.most_at_once // len(self.tuning.settings))

    def train(self, losses: Sequence[LossObject]) -> list[list[FinalistRun]]:
        """Tune losses side by side, train them with every seed and score them; what one raises is an outcome too.

        Returns:
            The trainings of every loss.

        Raises:
            KeyboardInterrupt: If the user interrupted a training.
            MisconfigurationException: If a Trainer cannot be built.
        """
        start = time.perf_counter()
        settings, tuned = self._tune(losses)
        seconds = (time.perf_counter() - start) / len(losses)
        trained = [replace(run, seconds=seconds) for run in tuned]
        of_seeds = [trained, *(self.training.train_all(losses, seed, settings) for seed in self.seeds[1:])]
        return [
            [self._scored(loss, seed, setting, run) for seed, run in zip(self.seeds, runs, strict=True)]
            for loss, setting, *runs in zip(losses, settings, *of_seeds, strict=True)
        ]

    def _tune(self, losses: Sequence[LossObject]) -> tuple[list[Setting], list[TrainingRun]]:
        """Return the best setting of every loss, and its training."""
        best: dict[int, TrainingRun] = {}

        def train(points: Sequence[tuple[int, Setting]]) -> list[float]:
            settings = [setting for _, setting in points]
            runs = self.training.train_all([losses[number] for number, _ in points], self.seeds[0], settings)
            for (number, _), run in zip(points, runs, strict=True):
                # The first of equals, as the setting.
                if number not in best or run.score > best[number].score:
                    best[number] = run
            return [run.score for run in runs]

        settings = best_settings([self.tuning.of_loss(loss) for loss in losses], train)
        return settings, [best[number] for number in range(len(losses))]

    def _scored(self, loss: LossObject, seed: int, setting: Setting, run: TrainingRun) -> FinalistRun:
        start = time.perf_counter()
        status, score, components = self._score(run)
        return FinalistRun(
            name=loss.title,
            seed=seed,
            status=status,
            score=score,
            epoch=run.epoch,
            learning_rate=setting.learning_rate,
            weight_decay=setting.weight_decay,
            seconds=run.seconds + time.perf_counter() - start,
            error=run.error,
            most_epochs=self.most_epochs,
            components=components,
            temperature=dict(setting.options).get(TUNED_OPTION),
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


def train_finalists(training: Shared[FinalistTraining], losses: Sequence[LossObject]) -> list[list[FinalistRun]]:
    """Train finalists in the process that calls this."""
    return training.get().train(losses)
