"""Multi-task models through the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from datamodules import SyntheticImpressions
from lightning_modules.cli.main import main
from lightning_modules.search.ledger import read_ledger
from tests.cli.cli_helpers import REPOSITORY, TRAINER

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
    assert ledger["standard_error"].notna().all()


def test_losses_of_several_tasks_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seeds=2", "--learning_rates=[0.1]", "--refinements=0", "--resamples=200", "--compare.root=comparison"]
    losses = ["--losses=[LabelSmoothing]", "--formulas", "(label - pred)**2"]
    command = ["compare", f"--config={REPOSITORY}/configs/compare/synthetic_esmm.yaml", *options, *losses]
    assert main([*command, "--data.num_sessions=500"]) == 0
    results, summary = pd.read_csv("comparison/results.csv"), pd.read_csv("comparison/summary.csv")
    assert set(results["status"]) == {"trained"}
    tasks = results[["test_auc_click", "test_auc_conversion"]]
    assert results["test_auc"].to_numpy() == pytest.approx(tasks.mean(axis=1).to_numpy())
    # The probability of a conversion is that of a click times that of a conversion after one.
    arrays = (
        np.load("comparison/predictions/rows.npz"),
        *map(np.load, sorted(Path("comparison/predictions").glob("BCE*"))),
    )
    label, (score, *_) = arrays[0]["test_label"], (each["test_score"] for each in arrays[1:])
    assert (score[:, 1] <= score[:, 0]).all()
    area = roc_auc_score(label[:, 1], score[:, 1])
    assert results.loc[results["loss"] == "BCE", "test_auc_conversion"].iloc[0] == pytest.approx(area)
    gaps = summary[["auc_click_difference", "auc_conversion_difference"]].mean(axis=1)
    assert summary["difference"].iloc[1:].to_numpy() == pytest.approx(gaps.iloc[1:].to_numpy())
    page = Path("comparison/summary.md").read_text()
    assert "one pass over the training rows, tested once after it" in page
    assert "| LabelSmoothing | AUC conversion |" in page
    assert "still improved" not in page
    assert "Each task, on the test rows" in capsys.readouterr().out


def test_a_comparison_takes_a_probability_for_each_named_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("hidden_tasks.py").write_text(
        "from lightning_modules.multitask import SharedBottom\n\n\n"
        "class Hidden(SharedBottom):\n"
        "    def predict_step(self, batch):\n"
        "        return super().predict_step(batch)[:, :, None]\n"
    )
    assert main(["compare", "--model=hidden_tasks.Hidden", *SMALL, *DATA, *TRAINER, "--root=comparison"]) == 1
    assert "Hidden predicts 2 by 1 probabilities a row" in capsys.readouterr().err
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
