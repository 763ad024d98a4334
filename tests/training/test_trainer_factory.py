from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from callbacks import RewardCallback
from lightning_modules.training.trainers import TrainerFactory
from tests.search.child_helpers import planted_data, untrained


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


def counting_child(recipe: dict[str, Any], **options: Any) -> tuple[pl.Trainer, Counting]:
    """Train a child under a recipe; return its Trainer and the counts of the callback in it."""
    data = planted_data(num_interactions=200)
    trainer = TrainerFactory({"accelerator": "cpu", **recipe}, **options).build(
        [RewardCallback()], "(pred - label)**2 / 2"
    )
    trainer.fit(untrained(data), datamodule=data)
    return trainer, own_callback(trainer)


@pytest.mark.parametrize(
    ("recipe", "validations"),
    [
        ({"max_epochs": 1}, 1),
        ({"max_epochs": 4}, 1),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, 2),
    ],
)
def test_children_validate_as_rarely_as_they_may(recipe: dict[str, Any], validations: int) -> None:
    _, counts = counting_child({**recipe, "callbacks": [Counting()]})
    assert (counts.epochs, counts.validations) == (recipe["max_epochs"], validations)


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
    counting_child({"max_epochs": 1, "callbacks": [Counting()], "enable_progress_bar": True, "logger": True})
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
