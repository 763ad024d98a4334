"""Trains a fresh model with one loss until its validation metric stops rising."""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from pytorch_lightning.cli import instantiate_module

from callbacks.best_weights import BestWeights
from callbacks.optimizer_settings import OptimizerSettings
from callbacks.reward import RewardCallback
from lightning_modules.losses import Loss
from lightning_modules.training.predictions import Scores, scores
from lightning_modules.training.trainers import fit, quiet_lightning, quiet_trainer

TRAINED, DIVERGED, FAILED = "trained", "diverged", "failed"


@dataclass(frozen=True)
class Setting:
    """What is tuned for each loss.

    Attributes:
        learning_rate: Learning rate.
        weight_decay: Weight decay, in the optimizer's own meaning of it.
    """

    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class TrainingRun:
    """One training to convergence.

    Attributes:
        status: ``trained``; ``diverged`` if a loss or metric was not finite at any time; ``failed`` with an error.
        score: The best validation metric, negated where less is better; -inf unless trained.
        epoch: The epoch of the best validation, counted from 1; 0 if there is none.
        epochs: Epochs that were trained.
        converged: Whether the metric stopped rising before the last epoch that the Trainer allows.
        metrics: Validation metrics of the best epoch.
        seconds: Wall time.
        error: The exception of a failed training, empty otherwise.
        trainer: The Trainer, to evaluate with; ``None`` if the training failed.
        model: The model with the weights of the best epoch; ``None`` if there are none.
    """

    status: str
    score: float
    epoch: int = 0
    epochs: int = 0
    converged: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    trainer: pl.Trainer | None = None
    model: pl.LightningModule | None = None


@dataclass(frozen=True)
class Measured:
    """A trained model on the test rows.

    Attributes:
        metrics: Its test metrics.
        validation: Its scores of the validation rows.
        test: Its scores of the test rows.
    """

    metrics: Mapping[str, float]
    validation: Scores
    test: Scores


class FullTraining:
    """Trains models to convergence; the same seed gives every loss the same start and the same batches.

    Args:
        build: Returns a freshly initialised model.
        datamodule: What it is trained, validated and tested on.
        recipe: Arguments of its Trainer; early stopping and checkpoints of its own are left out.
        monitor: The validation metric that decides when to stop and which epoch is best.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a training ends.
    """

    def __init__(
        self,
        build: Callable[[], pl.LightningModule],
        datamodule: pl.LightningDataModule,
        recipe: Mapping[str, Any],
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        patience: int = 5,
    ) -> None:
        self.build = build
        self.datamodule = datamodule
        self.recipe = recipe
        self.monitor = monitor
        self.mode = mode
        self.patience = patience

    def __call__(self, loss: Loss, seed: int, setting: Setting) -> TrainingRun:
        """Train one model; whatever its loss provokes is the result.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
        """
        best, guard = BestWeights(self.monitor, self.mode), RewardCallback(self.monitor, self.mode)
        stop = EarlyStopping(self.monitor, mode=self.mode, patience=self.patience)
        start = time.perf_counter()
        trainer = self._trainer(setting, [best, guard, stop])
        try:
            with quiet_lightning(), torch.random.fork_rng():
                model = self._fit(trainer, loss, seed)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            return TrainingRun(FAILED, -math.inf, seconds=time.perf_counter() - start, error=message)
        if best.weights:
            model.load_state_dict(best.weights)
        trained = guard.status == "trained"
        return TrainingRun(
            status=TRAINED if trained else DIVERGED,
            score=best.score if trained else -math.inf,
            epoch=best.epoch,
            epochs=trainer.current_epoch,
            converged=stop.wait_count >= self.patience,
            metrics={name: value for name, value in best.metrics.items() if name.startswith("val/")},
            seconds=time.perf_counter() - start,
            trainer=trainer,
            model=model if best.weights else None,
        )

    def measure(self, training: TrainingRun) -> Measured:
        """Return the test metrics of a trained model and its scores, which the test rows give this once."""
        trainer, model = training.trainer, training.model
        assert trainer is not None
        assert model is not None
        with quiet_lightning():
            (metrics,) = trainer.test(model, datamodule=self.datamodule, verbose=False)
            validation = scores(trainer, model, self.datamodule.val_dataloader())
            test = scores(trainer, model, self.datamodule.test_dataloader())
        return Measured(metrics, validation, test)

    def _trainer(self, setting: Setting, callbacks: list[pl.Callback]) -> pl.Trainer:
        tuned = OptimizerSettings(setting.learning_rate, setting.weight_decay)
        with quiet_lightning():
            # Every row is scored, however much of an epoch the recipe takes to train and to stop by.
            return quiet_trainer(
                self.recipe, [tuned, *callbacks], without=(Checkpoint, EarlyStopping), limit_predict_batches=1.0
            )

    def _fit(self, trainer: pl.Trainer, loss: Loss, seed: int) -> pl.LightningModule:
        # Trainers and models refer to each other, so that the last ones hold their memory until they are collected.
        gc.collect()
        torch.manual_seed(seed)
        model = self.build()
        model.loss = loss
        # Again, so that the order of the batches does not depend on how much the weights have drawn.
        torch.manual_seed(seed)
        fit(trainer, model, self.datamodule)
        return model


Model = TypeVar("Model", bound=pl.LightningModule)


def builder(model: Model) -> Callable[[], Model]:
    """Return what makes freshly initialised models like ``model``, from the hyper-parameters that it has saved.

    Raises:
        ValueError: If the model has saved none, so that nothing is known of how to make another.
    """
    # Lightning notes there how the hyper-parameters are to be read; that is known here.
    arguments = {name: value for name, value in model.hparams.items() if name != "_instantiator"}
    if not arguments:
        raise ValueError(
            f"{type(model).__name__} cannot be built anew for every training: call save_hyperparameters() in its "
            "__init__, as the models of this project do"
        )
    return partial(instantiate_module, type(model), arguments)
