"""What is asked of a model that is not trained, or whose training has diverged."""

from pathlib import Path

import pytest
import torch

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import DATA, MODEL, TRAINER

OPTIONS = [*DATA, *MODEL, *TRAINER]


@pytest.fixture
def diverged() -> Path:
    assert main(["fit", *OPTIONS]) == 0
    checkpoint = next(Path("lightning_logs").rglob("*.ckpt"))
    stored = torch.load(checkpoint, weights_only=True)
    stored["state_dict"]["user_bias.weight"][2:5] = torch.nan
    torch.save(stored, "diverged.ckpt")
    return Path("diverged.ckpt")


def test_predictions_need_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *OPTIONS]) == 1
    assert "predict without --ckpt_path gives the predictions of a model that is not trained" in capsys.readouterr().err
    assert not Path("predictions.csv").exists()


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_measuring_without_a_checkpoint_is_told(verb: str) -> None:
    with pytest.warns(
        UserWarning, match=f"{verb} without --ckpt_path gives the metrics of a model that is not trained"
    ):
        assert main([verb, *OPTIONS]) == 0


def test_a_model_that_diverged_is_not_used(diverged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "3 of 61 values of user_bias.weight are not finite, as its training has diverged"
    assert main(["predict", *OPTIONS, f"--ckpt_path={diverged}"]) == 1
    assert f"predictions.csv is not written: {said}" in capsys.readouterr().err
    assert not Path("predictions.csv").exists()
    pytest.importorskip("onnxscript")
    assert main(["export", str(diverged), "--to=onnx"]) == 1
    assert f"'diverged.ckpt' cannot be exported: {said}" in capsys.readouterr().err
    assert not Path("diverged.onnx").exists()
