"""What every training to convergence shares, whatever it is trained for."""

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from lightning_modules.recommenders import BiasedMF
from lightning_modules.training.convergence import ConvergenceTrainer, TrainingSettings
from lightning_modules.training.quiet import quiet_training
from tests.compare.compare_helpers import RECIPE, builder_of, small_data

DATA = small_data()
BUILD: Callable[[], BiasedMF] = builder_of(DATA)


class Watch(pl.Callback):
    """Remembers validation metrics and the optimizer's settings."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, float]] = []
        self.groups: set[tuple[float, float]] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.groups |= {(group["lr"], group["weight_decay"]) for group in trainer.optimizers[0].param_groups}


def fitted(settings: TrainingSettings, seed: int = 0, **options: Any) -> tuple[ConvergenceTrainer, Watch, BiasedMF]:
    watch = Watch()
    convergence = ConvergenceTrainer(RECIPE, "val/auc", "max", settings, callbacks=[watch], **options)
    with quiet_training():
        return convergence, watch, convergence.fit(BUILD, DATA, seed)


def test_early_stopping_keeps_the_weights_and_metrics_of_the_best_epoch() -> None:
    convergence, watch, model = fitted(TrainingSettings(40, patience=3, learning_rate=0.1))
    aucs = [each["val/auc"] for each in watch.metrics]
    assert convergence.converged
    assert len(aucs) == convergence.best.epoch + 3 < 40
    assert convergence.best.epoch == 1 + aucs.index(max(aucs))
    assert convergence.validation_metrics["val/auc"] == max(aucs)
    (again,) = convergence.trainer.validate(model, datamodule=DATA, verbose=False)
    assert again["val/auc"] == pytest.approx(max(aucs), abs=1e-6)


def test_without_patience_all_epochs_are_trained() -> None:
    convergence, watch, _ = fitted(TrainingSettings(8, learning_rate=0.1))
    assert len(watch.metrics) == 8 > convergence.best.epoch
    assert not convergence.converged
    assert not [each for each in convergence.trainer.callbacks if isinstance(each, EarlyStopping)]  # type: ignore[attr-defined]


def test_settings_that_are_not_given_are_those_of_recipe_and_model() -> None:
    own = BUILD().configure_optimizers().defaults  # type: ignore[union-attr]
    _, watch, _ = fitted(TrainingSettings())
    assert len(watch.metrics) == RECIPE["max_epochs"]
    assert watch.groups == {(own["lr"], own["weight_decay"])}
    assert fitted(TrainingSettings(1, weight_decay=0.25))[1].groups == {(own["lr"], 0.25)}


def test_a_missing_metric_fails_a_strict_training_alone() -> None:
    settings = TrainingSettings(2, patience=1)
    for strict in (True, False):
        convergence = ConvergenceTrainer(RECIPE, "val/ndcg", "max", settings, strict=strict)
        with quiet_training():
            if strict:
                with pytest.raises(RuntimeError, match="val/ndcg"):
                    convergence.fit(BUILD, DATA, 0)
            else:
                convergence.fit(BUILD, DATA, 0)
                assert (convergence.best.epoch, convergence.validation_metrics) == (0, {})
