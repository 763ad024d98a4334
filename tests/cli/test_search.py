"""A search through the command line, and what its folder holds."""

from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import SyntheticInteractions
from lightning_modules.cli.main import main
from lightning_modules.losses import Formula
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.ledger import read_ledger
from tests.cli.cli_helpers import BUDGET, DATA, MODEL, RANDOM, SEARCH, TRAINER, candidates

HAND_MADE = ["BCE", "MSE", "Hinge", "Focal", "MaxR", "SumR", "LogMin"]


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return accumulator.Reload()


def test_the_ledger_holds_every_loss_in_the_order_of_training(study: Path) -> None:
    ledger = read_ledger(study)
    assert ledger["formula"][:7].tolist() == HAND_MADE
    assert ledger["round"].tolist() == [0] * 7 + [1] * 3 + [2] * 3
    assert ledger["kind"].tolist() == ["reference"] * 7 + ["candidate"] * 6
    assert set(ledger["status"]) == {"trained"}
    drawn = [Formula.parse(text) for text in ledger["formula"][7:]]
    assert len(set(drawn)) == 6


def test_rewards_are_differences_to_bce(study: Path) -> None:
    ledger = read_ledger(study).set_index("formula")
    expected = ledger["metric"] - ledger.loc["BCE", "metric"]
    assert ledger["reward"].tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    assert ledger["metric"].between(0, 1).all()


def test_formulas_csv_is_the_ledger_sorted_by_reward(study: Path) -> None:
    table = pd.read_csv(study / "formulas.csv")
    assert table.columns[:5].tolist() == ["rank", "formula", "reward", "standard_error", "status"]
    assert table["rank"][table["kind"] == "candidate"].tolist() == list(range(1, 7))
    assert table["rank"][table["kind"] == "reference"].isna().all()
    assert table["reward"].is_monotonic_decreasing
    assert sorted(table["formula"]) == sorted(read_ledger(study)["formula"])


def test_the_configuration_keeps_nulls(study: Path) -> None:
    text = (study / "config.yaml").read_text()
    assert "baseline: null" in text
    assert "seed_everything: 42" in text


@pytest.mark.usefixtures("_undrawn")
def test_another_seed_is_another_study(study: Path, tmp_path: Path) -> None:
    options = ["--seed_everything=7", "--search.rounds=1", "--search.references=[]"]
    assert main([*SEARCH, *options, f"--search.root={tmp_path / 'other'}"]) == 0
    assert not set(candidates(tmp_path / "other")["formula"]) & set(candidates(study)["formula"])


def test_tensorboard_shows_scalars_texts_and_figures(study: Path) -> None:
    shown = events(study)
    tags = shown.Tags()
    assert {"reward/best", "reward/mean", "reward/best_so_far", "reference/BCE", "operators/add"} <= set(
        tags["scalars"]
    )
    assert [event.step for event in shown.Scalars("reward/mean")] == [1, 2]
    first_round = candidates(study).query("round == 1")["reward"]
    assert shown.Scalars("reward/mean")[0].value == pytest.approx(first_round.mean(), abs=1e-6)
    assert {f"top_formulas/{rank}" for rank in range(1, 4)} <= set(tags["images"])
    (text,) = shown.Tensors("top_formulas/text_summary")[-1].tensor_proto.string_val
    best = candidates(study).sort_values("reward").iloc[-1]
    assert min(best["formula"], best["simplified"], key=len) in text.decode()


@pytest.mark.usefixtures("_undrawn")
def test_ppo_with_curves_of_every_child(tmp_path: Path) -> None:
    options = ["--search.rounds=1", "--search.references=[]", "--search.log_candidates=true", "--search.strategy=PPO"]
    root = tmp_path / "ppo"
    assert main(["search", *DATA, *MODEL, *TRAINER, *BUDGET, *options, f"--search.root={root}"]) == 0
    runs = sorted((root / "candidates").iterdir())
    assert len(runs) == 1 + len(candidates(root))
    assert {"train/loss", "val/auc"} <= set(events(runs[0]).Tags()["scalars"])
    assert any(tag.startswith("warm_up/") for tag in events(root).Tags()["scalars"])
    assert "PPO" in (root / "config.yaml").read_text()


@pytest.mark.usefixtures("_undrawn")
def test_the_recommender_moves_on_if_asked_to(tmp_path: Path) -> None:
    root = tmp_path / "alternate"
    options = ["--search.alternate=true", "--search.references=[]", "--search.rounds=3"]
    assert main([*SEARCH, *options, f"--search.root={root}"]) == 0
    accepted = [event.value for event in events(root).Scalars("reward/accepted")]
    assert accepted[0] == 1.0
    best = candidates(root).groupby("round")["metric"].max()
    gains = [best[number] > best[:number].iloc[:-1].max() + 1e-5 for number in (2, 3)]
    assert accepted[1:] == [float(gain) for gain in gains]


@pytest.mark.usefixtures("_undrawn")
def test_without_holdout_rewards_are_those_of_an_ordinary_fit(tmp_path: Path) -> None:
    options = ["--search.holdout=0", "--search.relative=false", "--search.rounds=1"]
    assert main([*SEARCH, *options, f"--search.root={tmp_path / 'published'}"]) == 0
    pl.seed_everything(42)
    data = SyntheticInteractions(num_users=60, num_items=50, num_interactions=2000)
    model = BiasedMF(data.num_users, data.num_items, embedding_dim=4)
    torch.manual_seed(42)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", num_sanity_val_steps=0, **quiet)
    trainer.fit(model, datamodule=data)
    bce = read_ledger(tmp_path / "published").iloc[0]
    assert bce["reward"] == bce["metric"] == pytest.approx(trainer.callback_metrics["val/auc"].item(), abs=1e-7)


@pytest.mark.usefixtures("_undrawn")
def test_printed_configuration_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--search.rounds=1", "--search.references=[]", "--print_config"]) == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert main(["search", "--config=printed.yaml", "--search.root=printed"]) == 0
    assert len(candidates(Path("printed"))) == 3


def test_a_found_formula_trains_a_model_that_predicts(tmp_path: Path) -> None:
    formula = ["--model.loss=FormulaLoss", "--model.loss.formula=(Label - Pred) ^ 2"]
    assert main(["fit", *DATA, *MODEL, *formula, *TRAINER, f"--trainer.default_root_dir={tmp_path}"]) == 0
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]["loss"]
    assert stored["init_args"]["formula"] == "(label - pred)**2"
    model = BiasedMF.load_from_checkpoint(checkpoint, weights_only=True)
    arguments = [*DATA, *MODEL, "--trainer.accelerator=cpu", f"--ckpt_path={checkpoint}"]
    assert main(["predict", *arguments, "--predict.output=out/scores.csv"]) == 0
    table = pd.read_csv("out/scores.csv")
    assert table.columns.tolist() == ["user", "item", "probability"]
    data = SyntheticInteractions(num_users=60, num_items=50, num_interactions=2000)
    data.setup()
    rows = data.rows["test"]
    expected = torch.sigmoid(model(rows.user, rows.item)).tolist()
    assert table["probability"].tolist() == pytest.approx(expected, abs=1e-6)
    assert main(["predict", *arguments, "--logits"]) == 0
    table = pd.read_csv("predictions.csv")
    assert table.columns.tolist() == ["user", "item", "probability", "logit"]
    assert table["logit"].tolist() == pytest.approx(model(rows.user, rows.item).tolist(), abs=1e-6)


@pytest.mark.usefixtures("_undrawn")
@pytest.mark.parametrize("strategy", ["RegularizedEvolution", "REINFORCE"])
def test_other_strategies_by_name(strategy: str, tmp_path: Path) -> None:
    options = [
        f"--search.strategy={strategy}",
        "--search.rounds=1",
        "--search.references=[]",
        "--search.most_draws=256",
    ]
    assert main([*[each for each in SEARCH if each not in RANDOM], *options, "--search.root=named"]) == 0
    assert strategy in Path("named/config.yaml").read_text()
