"""Checkpoints that an earlier version stored are tested, predict and train on as before."""

from pathlib import Path

import pytest

from tests.stored.comparisons import assert_same_table, change_data
from tests.stored.make import FITS, checkpoint, resume, use
from train import main


@pytest.mark.parametrize(("name", "metric"), [("biased_mf", "auc"), ("esmm", "auc/bought"), ("ddpg", "score/bought")])
def test_a_checkpoint_is_tested(name: str, metric: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(use("test", name)) == 0
    assert f"test/{metric}" in capsys.readouterr().out


@pytest.mark.parametrize("name", FITS)
def test_a_checkpoint_predicts_what_it_did(name: str) -> None:
    assert main(use("predict", name, "--predict.output=now.csv")) == 0
    assert_same_table(Path("now.csv"), Path(f"fits/{name}/predictions.csv"))


@pytest.mark.parametrize("name", FITS)
def test_a_training_goes_on_to_where_it_went(name: str) -> None:
    assert main(resume(name)) == 0
    assert main(use("predict", name, "--predict.output=now.csv")) == 0
    assert_same_table(Path("now.csv"), Path(f"fits/{name}/resumed.csv"))


@pytest.mark.parametrize(("name", "data"), [("biased_mf", "shop"), ("esmm", "visits"), ("ddpg", "visits")])
def test_a_training_does_not_go_on_with_other_data(name: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    change_data(Path(f"data/{data}.csv"))
    assert main(resume(name)) == 1
    assert (
        "the training of this checkpoint was begun with other data: train: other values of" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["biased_mf", "deep_mf"])
def test_a_model_is_exported(name: str) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", str(checkpoint(name)), "--to=onnx", "--output=model.onnx"]) == 0
    assert Path("model.onnx").is_file()
