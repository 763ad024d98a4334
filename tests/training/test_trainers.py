import logging
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, Timer
from pytorch_lightning.loggers import CSVLogger

from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.trainers import quiet_trainer


class Mark(pl.Callback):
    def __init__(self, name: str) -> None:
        self.name = name


def marks(trainer: pl.Trainer) -> list[str]:
    return [each.name for each in trainer.callbacks if isinstance(each, Mark)]  # type: ignore[attr-defined]


def trainer_of(recipe: dict[str, Any], *callbacks: pl.Callback, **settings: Any) -> pl.Trainer:
    recipe = {"accelerator": "cpu", "devices": 1, **recipe}
    return quiet_trainer(recipe, [*callbacks], without=(Checkpoint, EarlyStopping), **settings)


def test_the_recipes_callbacks_come_first_but_for_those_left_out(tmp_path: Path) -> None:
    recipe = {"callbacks": [Mark("own"), EarlyStopping("a"), ModelCheckpoint(dirpath=tmp_path), Timer()]}
    trainer = trainer_of(recipe, Mark("ours"), EarlyStopping("b"))
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    assert marks(trainer) == ["own", "ours"]
    assert [each.monitor for each in callbacks if isinstance(each, EarlyStopping)] == ["b"]
    assert not any(isinstance(each, Checkpoint) for each in callbacks)
    assert any(isinstance(each, Timer) for each in callbacks)


@pytest.mark.parametrize(("given", "expected"), [(Mark("one"), ["one"]), (None, []), ([], [])])
def test_a_single_callback_and_none_are_taken(given: Any, expected: list[str]) -> None:
    assert marks(trainer_of({"callbacks": given})) == expected


def test_the_recipe_stays_as_it_is_and_its_objects_are_copied() -> None:
    own = Mark("own")
    recipe = {"callbacks": [own], "accelerator": "cpu", "max_epochs": 3}
    trainers = [trainer_of(recipe) for _ in range(2)]
    found = [next(each for each in trainer.callbacks if isinstance(each, Mark)) for trainer in trainers]  # type: ignore[attr-defined]
    assert recipe == {"callbacks": [own], "accelerator": "cpu", "max_epochs": 3}
    assert found[0] is not own
    assert found[0] is not found[1]


def test_nothing_is_shown_or_kept_whatever_the_recipe_says(tmp_path: Path) -> None:
    loud = {"logger": CSVLogger(tmp_path), "enable_progress_bar": True, "enable_checkpointing": True}
    trainer = trainer_of({**loud, "enable_model_summary": True, "num_sanity_val_steps": 2, "max_epochs": 7})
    assert trainer.loggers == []
    assert trainer.checkpoint_callbacks == []
    assert trainer.progress_bar_callback is None
    assert trainer.num_sanity_val_steps == 0
    assert trainer.max_epochs == 7


def test_settings_go_before_the_recipe_and_the_silence() -> None:
    trainer = trainer_of({"max_epochs": 7}, max_epochs=2, num_sanity_val_steps=1)
    assert (trainer.max_epochs, trainer.num_sanity_val_steps) == (2, 1)


@pytest.mark.parametrize("error", [None, ValueError])
def test_lightning_is_quiet_for_a_while_and_then_as_before(error: type[Exception] | None) -> None:
    loggers = [logging.getLogger("pytorch_lightning"), logging.getLogger("pytorch_lightning.utilities.rank_zero")]
    before = [logger.level for logger in loggers]
    try:
        with quiet_lightning():
            assert not any(logger.isEnabledFor(logging.WARNING) for logger in loggers)
            assert all(logger.isEnabledFor(logging.ERROR) for logger in loggers)
            if error is not None:
                raise error
    except ValueError:
        assert error is ValueError
    assert [logger.level for logger in loggers] == before
