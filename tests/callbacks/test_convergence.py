from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks import ConvergenceStopping
from tests.trainer_helpers import quiet_trainer


class Scripted(pl.LightningModule):
    """Logs values that are given beforehand; None logs nothing."""

    def __init__(self, values: list[float | None], name: str) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.values = values
        self.name = name

    def training_step(self, batch: Any) -> Tensor:
        return self.weight * 0

    def _log(self, prefix: str) -> None:
        value = self.values[self.current_epoch]
        if self.name.startswith(prefix) and value is not None:
            self.log(self.name, torch.tensor(value))

    def on_train_epoch_end(self) -> None:
        self._log("train/")

    def validation_step(self, batch: Any) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        self._log("val/")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def epochs(
    values: list[float | None], name: str = "train/critic_loss", path: Path | None = None, **options: Any
) -> int:
    """Return how many epochs were trained until the callback stopped."""
    callback = ConvergenceStopping(name, **{"threshold": 0.1, "patience": 2, **options})
    trainer = quiet_trainer(max_epochs=len(values), callbacks=[callback])
    trainer.fit(Scripted(values, name), [torch.zeros(1)], [torch.zeros(1)], ckpt_path=path, weights_only=True)
    if path is None:
        trainer.save_checkpoint("stopped.ckpt")
    return trainer.current_epoch


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["train/critic_loss", "val/score"])
@pytest.mark.parametrize(
    ("values", "trained"),
    [
        ([5.0, 4.0, 3.95, 3.9, 3.0, 2.0], 4),
        ([5.0, 5.05, 4.0, 4.05, 4.01, 9.0], 5),
        ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], 6),
        ([3.0, 3.0, 3.2, 3.2, 3.4, 3.4], 6),
        ([-1.0, -1.01, -1.02, 0.0, 1.0, 2.0], 3),
    ],
)
def test_small_changes_in_a_row_end_the_training(name: str, values: list[float | None], trained: int) -> None:
    assert epochs(values, name) == trained


def test_it_looks_at_the_epochs_own_value() -> None:
    # Would it see the value of the epoch before, it stopped one later.
    assert epochs([2.0, 2.0, 7.0, 9.0], patience=1) == 2


def test_epochs_without_the_value_change_nothing() -> None:
    assert epochs([None, None, None, 1.0, 1.0, 1.0, 5.0], "train/actor_loss") == 6


def test_a_value_that_is_not_a_number_ends_the_training() -> None:
    assert epochs([5.0, float("nan"), 3.0, 2.0]) == 2


def test_counting_goes_on_after_a_checkpoint() -> None:
    values: list[float | None] = [9.0, 5.0, 5.0]
    assert epochs(values) == 3
    assert epochs([*values, 5.0, 1.0, 0.0], path=Path("stopped.ckpt")) == 4


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold.*got 0"):
        ConvergenceStopping(threshold=0.0)
    with pytest.raises(ValueError, match=r"patience.*got 0"):
        ConvergenceStopping(patience=0)
