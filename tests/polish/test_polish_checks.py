"""What is wrong with a polish is found before its first training."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lightning_modules.losses import BCE
from lightning_modules.polish.training import PolishTraining
from tests.polish.polish_helpers import polish, save, small_agent, small_data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"monitor": "val/auk"}, "polish.monitor is val/auk, which validation does not give; it gives val/auc/click"),
        ({"recipe": {"devices": 2}}, "a polish trains in one process, got 2; set trainer.devices to 1"),
        ({"recipe": {"check_val_every_n_epoch": 2}}, "a fine-tuning of 1 epochs .* would never be validated"),
        ({"recipe": {"limit_val_batches": 0}}, "it gives none: look at the trainer's options"),
        ({"data": small_data(session_length=1)}, "each of the 96 training sessions has one row only"),
        ({"data": small_data(click_offset=-90.0)}, "val/auc is nan on the validation rows"),
        ({"agent": partial(small_agent, gamma=1.5)}, r"gamma .* must lie in \[0, 1\), got 1.5"),
        ({"critics": "none.ckpt"}, "there is no checkpoint 'none.ckpt'"),
        ({"model": {"loss": [BCE(), BCE()]}}, "the model has one a task"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_wrong_is_found_before_anything_is_trained_or_written(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(PolishTraining, "train", refuse)
    with pytest.raises((ValueError, OSError), match=message):
        polish(tmp_path / "run", **options).run(save)
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_does_not_continue_stops_everything(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise ValueError("begun with other settings")

    with pytest.raises(ValueError, match="begun with other settings"):
        polish(tmp_path / "run").run(refuse)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
