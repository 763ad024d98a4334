"""Multi-task models through the command line."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from datamodules import SyntheticImpressions
from lightning_modules.cli.main import main
from lightning_modules.search.ledger import read_ledger
from tests.cli.cli_helpers import TRAINER

DATA = ["--data=SyntheticImpressions", "--data.num_sessions=300"]
SMALL = ["--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
MODELS = ["AITM", "ESMM", "MMoE", "MetaHeac", "OMoE", "PLE", "SharedBottom", "SingleTask"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_trained_and_tested(model: str) -> None:
    options = [f"--model={model}", *SMALL, *DATA, *TRAINER]
    assert main(["fit", *options]) == 0
    checkpoint = next(Path("lightning_logs").rglob("*.ckpt"))
    assert main(["test", *options, f"--ckpt_path={checkpoint}"]) == 0


def test_predictions_have_a_column_a_task() -> None:
    options = ["--model=ESMM", *SMALL, *DATA, *TRAINER]
    assert main(["fit", *options]) == 0
    data = SyntheticImpressions(num_sessions=300)
    for name, read in {"predicted.csv": pd.read_csv, "predicted.parquet": pd.read_parquet}.items():
        assert main(["predict", *options, "--ckpt_path=last", f"--predict.output={name}"]) == 0
        table = read(name)
        assert len(table) == len(data.test_dataloader().rows.label)
        clicks, conversions = (table[task] for task in data.tasks)
        # ESMM multiplies by the probability of the click.
        assert (conversions <= clicks).all()
        assert clicks.between(0, 1).all()


def test_a_loss_a_task_is_a_list_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["fit", "--model=SharedBottom", *SMALL, *DATA, *TRAINER]
    assert main([*options, "--model.loss=[BCE,MSE]"]) == 0
    checkpoint = next(Path("lightning_logs").rglob("*.ckpt"))
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]["loss"]
    assert [each["class_path"].rpartition(".")[2] for each in stored] == ["BCE", "MSE"]
    assert main([*options, "--model.loss=[BCE,MSE,BCE]"]) == 1
    assert "there are 3 losses for 2 tasks" in capsys.readouterr().err


def test_the_loss_of_a_multi_task_model_is_searched() -> None:
    search = ["--rounds=1", "--candidates=2", "--warmup_updates=1", "--draws=256", "--strategy=RandomSearch"]
    assert main(["search", "--model=SharedBottom", *SMALL, *DATA, *TRAINER, *search, "--root=study"]) == 0
    ledger = read_ledger("study")
    assert set(ledger["status"]) == {"trained"}
    assert (ledger["kind"] == "candidate").sum() == 2


def test_a_comparison_refuses_several_tasks_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--model=MMoE", *SMALL, *DATA, *TRAINER, "--root=comparison"]) == 1
    assert "MMoE predicts 2 probabilities a row" in capsys.readouterr().err
    assert not Path("comparison").exists()


@pytest.mark.parametrize(
    ("model", "data", "missing"),
    [
        ("BiasedMF", "SyntheticImpressions", "num_users, num_items"),
        ("MMoE", "SyntheticInteractions", "field_sizes, num_numerical, tasks"),
    ],
)
def test_a_model_that_does_not_fit_the_data(
    model: str, data: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", f"--model={model}", f"--data={data}", *TRAINER]) == 1
    assert f"{model} needs {missing} of its data, which {data} does not have" in capsys.readouterr().err
