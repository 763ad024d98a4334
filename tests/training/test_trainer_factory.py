import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, Timer
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from callbacks import LastCheckpoint, RewardCallback
from lightning_modules.recommenders import BiasedMF
from lightning_modules.training.trainers import AwaitedValidations, TrainerFactory
from tests.search.child_helpers import planted_data, untrained

ROOT = Path(__file__).parents[2]
#: Training steps of an epoch of the data below.
STEPS = 5


class Counting(pl.Callback):
    """Counts epochs and validations."""

    def __init__(self) -> None:
        self.epochs = 0
        self.validations = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs += 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validations += 1


def callbacks_of(trainer: pl.Trainer) -> list[pl.Callback]:
    return trainer.callbacks  # type: ignore[attr-defined]  # set outside the Trainer's class


def own_callback(trainer: pl.Trainer) -> Counting:
    return next(callback for callback in callbacks_of(trainer) if isinstance(callback, Counting))


def counting_child(recipe: dict[str, Any], kind: type[BiasedMF] = BiasedMF) -> Counting:
    """Train a child under a recipe, and return the counts of a callback that is none of the recipe's."""
    data, counting = planted_data(num_interactions=200), Counting()
    recipe = {"accelerator": "cpu", **recipe}
    trainer = TrainerFactory(recipe).build(
        [AwaitedValidations(recipe), counting, RewardCallback()], "(pred - label)**2 / 2"
    )
    model = untrained(data)
    model.__class__ = kind
    trainer.fit(model, datamodule=data)
    assert math.ceil(len(data.rows["train"].label) / data.batch_size) == STEPS
    return counting


@pytest.mark.parametrize(
    ("recipe", "validations"),
    [
        ({"max_epochs": 1}, 1),
        ({"max_epochs": 4}, 1),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, 2),
    ],
)
def test_children_validate_as_rarely_as_they_may(recipe: dict[str, Any], validations: int) -> None:
    counts = counting_child(recipe)
    assert (counts.epochs, counts.validations) == (recipe["max_epochs"], validations)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "search").glob("*.yaml")), ids=lambda path: path.stem)
def test_trials_of_the_shipped_configurations_validate_once(path: Path) -> None:
    recipe = yaml.safe_load(path.read_text())["trainer"]
    assert "callbacks" not in recipe
    trainer = TrainerFactory({**recipe, "accelerator": "cpu"}).build([], "trial")
    assert trainer.check_val_every_n_epoch == recipe.get("check_val_every_n_epoch", recipe["max_epochs"])


def test_early_stopping_of_the_recipe_ends_a_child() -> None:
    # No metric is that much better than the first one.
    stopping = EarlyStopping("val/auc", mode="max", min_delta=1.0, patience=1)
    counts = counting_child({"max_epochs": 9, "callbacks": stopping})
    assert (counts.epochs, counts.validations) == (2, 2)


class EndsAfter(pl.Callback):
    """Ends the training after two epochs."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch == 1


@pytest.mark.parametrize(
    ("recipe", "epochs"),
    [
        ({"max_steps": 2 * STEPS}, 2),
        ({"max_steps": 99 * STEPS}, 4),
        ({"max_time": timedelta(days=1)}, 4),
        ({"max_time": {"days": 1}}, 4),
        ({"callbacks": [Timer("01:00:00:00")]}, 4),
        ({"callbacks": [Counting()]}, 4),
        ({"callbacks": [EndsAfter()]}, 2),
        ({"callbacks": [ModelCheckpoint(monitor="val/auc")]}, 4),
    ],
)
def test_children_that_may_need_earlier_validations_validate_as_the_recipe_says(
    recipe: dict[str, Any], epochs: int
) -> None:
    counts = counting_child({"max_epochs": 4, **recipe})
    assert (counts.epochs, counts.validations) == (epochs, epochs)


@pytest.mark.parametrize(
    "recipe",
    [
        {"max_steps": -1, "max_time": None, "callbacks": None},
        {"callbacks": [ModelCheckpoint(), LastCheckpoint()]},
        {"callbacks": pl.Callback()},
    ],
)
def test_children_whose_recipe_never_looks_at_validations_validate_once(recipe: dict[str, Any]) -> None:
    counts = counting_child({"max_epochs": 4, **recipe})
    assert (counts.epochs, counts.validations) == (4, 1)


def test_a_callback_of_the_learning_rate_leaves_validation_to_the_last_epoch() -> None:
    recipe = {"accelerator": "cpu", "max_epochs": 4, "callbacks": [LearningRateMonitor()]}
    assert TrainerFactory(recipe).build([], "trial").check_val_every_n_epoch == 4


class Plateau(BiasedMF):
    """Its learning rate depends on a metric of validation."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": ReduceLROnPlateau(optimizer, mode="max"), "monitor": "val/auc"},
        }


class SparsePlateau(Plateau):
    """Asks for the metric every second epoch."""

    def configure_optimizers(self) -> Any:
        configured = super().configure_optimizers()
        configured["lr_scheduler"]["frequency"] = 2
        return configured


class Steps(BiasedMF):
    """Its learning rate depends on the epoch alone."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return [optimizer], [StepLR(optimizer, step_size=1)]


class Stopping(BiasedMF):
    """Brings its early stopping along."""

    def configure_callbacks(self) -> list[pl.Callback]:
        return [EarlyStopping("val/auc", mode="max", min_delta=1.0, patience=1)]


@pytest.mark.parametrize(
    ("kind", "recipe", "epochs", "validations"),
    [
        (Plateau, {}, 4, 4),
        (SparsePlateau, {"check_val_every_n_epoch": 2}, 4, 2),
        (Steps, {}, 4, 1),
        (Stopping, {}, 2, 2),
    ],
)
def test_models_that_await_validations_get_those_of_the_recipe(
    kind: type[BiasedMF], recipe: dict[str, Any], epochs: int, validations: int
) -> None:
    counts = counting_child({"max_epochs": 4, **recipe}, kind)
    assert (counts.epochs, counts.validations) == (epochs, validations)


@pytest.mark.parametrize("as_list", [True, False])
def test_every_child_has_its_own_copy_of_the_callbacks_and_ends_with_the_reward(as_list: bool) -> None:
    callback = Counting()
    trainers = TrainerFactory({"accelerator": "cpu", "max_epochs": 1, "callbacks": [callback] if as_list else callback})
    rewards = [RewardCallback(), RewardCallback()]
    children = [trainers.build([reward], "pred") for reward in rewards]
    own = [own_callback(child) for child in children]
    assert len({id(each) for each in [*own, callback]}) == 3
    assert [callbacks_of(child)[-1] for child in children] == rewards


def test_a_child_writes_nothing_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    counting_child({"max_epochs": 1, "enable_progress_bar": True, "logger": True})
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_curves_of_every_child_have_a_folder_of_their_own(tmp_path: Path) -> None:
    trainers = TrainerFactory({"accelerator": "cpu", "max_epochs": 1}, log_folder=tmp_path)
    for name in ("001-001 (pred - label)**2 / 2", "001-002 (pred - label)**2 / 2", "002-001 " + "log(" * 40 + "pred"):
        data = planted_data(num_interactions=200)
        trainers.build([RewardCallback()], name).fit(untrained(data), datamodule=data)
    folders = sorted(tmp_path.iterdir())
    assert [folder.name[:8] for folder in folders] == ["001-001 ", "001-002 ", "002-001 "]
    assert "pred - label" in folders[0].name
    assert all(list(folder.glob("events.out.tfevents.*")) for folder in folders)
    assert all(len(folder.name) < 100 for folder in folders)
