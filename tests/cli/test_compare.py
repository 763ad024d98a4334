"""A comparison through the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_modules.cli.main import main
from lightning_modules.search.answer import ValidatedFormula
from lightning_modules.training.full_training import FullTraining
from tests.cli.cli_helpers import DATA, MODEL, REPOSITORY, SEARCH, TRAINER, data_of
from tests.compare.compare_helpers import write_study

GRID = ["--learning_rates", "1e-2", "--weight_decays", "0", "1e-3"]
SHORT = ["--trainer.max_epochs=3", "--resamples=200", "--seeds=2", *GRID]
COMPARE = ["compare", *DATA, *MODEL, *TRAINER, *SHORT]
FORMULA = "-label * log(pred) - (1 - label) * log(1 - pred)"
CONFIGS = sorted((REPOSITORY / "configs" / "compare").glob("*.yaml"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished comparison; tests only read it."""
    folder = tmp_path_factory.mktemp("comparison") / "comparison"
    losses = ["--losses", "MSE", "--formulas", FORMULA]
    assert main([*COMPARE, *losses, "--save_checkpoints=true", f"--root={folder}"]) == 0
    return folder


def test_results_hold_a_row_for_every_loss_and_seed(root: Path) -> None:
    results = pd.read_csv(root / "results.csv")
    assert results.columns[:4].tolist() == ["loss", "seed", "learning_rate", "weight_decay"]
    assert {"val_auc", "val_auc_se", "test_auc", "test_auc_se", "test_log_loss", "status"} <= set(results.columns)
    assert list(zip(results["loss"], results["seed"], strict=True)) == [
        (loss, seed) for loss in ("BCE", "MSE", FORMULA) for seed in (42, 43)
    ]
    assert results["weight_decay"].isin([0.0, 1e-3]).all()
    assert results.groupby("loss")["weight_decay"].nunique().eq(1).all()


def test_the_setting_is_the_best_of_the_first_seed(root: Path) -> None:
    trainings = pd.read_csv(root / "trainings.csv")
    best = trainings.loc[trainings.groupby("loss")["val_auc"].idxmax()].set_index("loss")["weight_decay"]
    chosen = pd.read_csv(root / "results.csv").groupby("loss")["weight_decay"].first()
    assert chosen.to_dict() == best.to_dict()


def test_the_formula_of_bce_trains_as_bce_does(root: Path) -> None:
    means = pd.read_csv(root / "results.csv").groupby("loss")["test_auc"].mean()
    assert means[FORMULA] == pytest.approx(means["BCE"], abs=2e-3)


def test_pictures_and_summaries(root: Path) -> None:
    assert (root / "intervals.png").read_bytes().startswith(b"\x89PNG")
    summary = (root / "summary.md").read_text()
    assert "| BCE |" in summary
    assert "with a paired bootstrap interval" in summary
    shown = EventAccumulator(str(root)).Reload()
    assert "comparison/intervals" in shown.Tags()["images"]
    assert {events.parent for events in root.rglob("events*")} == {root}


def test_checkpoints_serve_test_and_export(root: Path, tmp_path: Path) -> None:
    checkpoint = next((root / "checkpoints").glob("MSE*42.ckpt"))
    assert main(["test", *DATA, *MODEL, *TRAINER, f"--ckpt_path={checkpoint}"]) == 0
    assert main(["export", str(checkpoint), "--to=onnx", f"--output={tmp_path / 'model.onnx'}"]) == 0
    assert (tmp_path / "model.onnx").stat().st_size > 0


def test_a_second_run_trains_nothing_and_says_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing is left to train")

    before = (root / "summary.md").read_text()
    monkeypatch.setattr(FullTraining, "train", refuse)
    assert main([*COMPARE, "--losses", "MSE", "--formulas", FORMULA, f"--root={root}"]) == 0
    assert (root / "summary.md").read_text() == before


def test_a_comparison_of_other_data_is_refused_in_that_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMPARE, "--losses", "MSE", f"--root={root}", "--data.num_users=61"]) == 1
    assert "data.init_args.num_users was 60 and is 61" in capsys.readouterr().err


@pytest.mark.usefixtures("_undrawn")
def test_a_search_is_audited_against_random_search(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--search.root=other", "--seed_everything=7"]) == 0
    short = ["--trainer.max_epochs=1", "--resamples=50", "--seeds=2", *GRID[:-1]]
    options = ["--study", str(study), "--random_study", "other", "--top", "2", "--losses", "MSE", *short]
    # Model and data come from the study.
    assert main(["compare", *options, "--trainer.enable_progress_bar=false", "--root=audited"]) == 0
    summary = Path("audited/summary.md").read_text()
    assert "On held-out data the search " in summary
    assert "random search (RandomSearch #" in summary
    assert pd.read_csv("audited/summary.csv")["group"].tolist() == [
        *["hand-made"] * 2,
        *["search"] * 2,
        *["random search"] * 2,
    ]
    assert "On held-out data the search" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def searches(study: Path, tmp_path: Path) -> list[str]:
    """Folders of two searches and two random ones of the study's model and data; the second found nothing."""
    settings = yaml.safe_load((study / "config.yaml").read_text())
    sections = {name: settings[name] for name in ("model", "data", "trainer")}
    nothing = [ValidatedFormula("(label - pred)**2 * 2", -0.01, 0.001)]
    strategies = ["PPO", "PPO", "RandomSearch", "RandomSearch"]
    return [
        str(
            write_study(
                tmp_path / f"{strategy}_{number}",
                [f"(label - pred)**2 * {number + 1}"],
                {"strategy": strategy, "rounds": 1},
                validated=nothing if number == 1 else (),
                **sections,
            )
        )
        for number, strategy in enumerate(strategies)
    ]


def test_several_searches_are_audited_by_the_spread_between_them(
    searches: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ["--trainer.max_epochs=1", "--resamples=200", "--seeds=2", "--trainer.enable_progress_bar=false"]
    options = ["--study", *searches[:2], "--random_study", *searches[2:], "--losses=[]", "--top=1"]
    command = ["compare", *options, *short, *GRID[:-1], "--root=audited"]
    assert main(command) == 0
    summary = Path("audited/summary.md").read_text()
    assert "Over 2 searches and 2 random searches of 1 trained candidates each, the search " in summary
    assert "| PPO_1 | nothing that beats the baseline: BCE |" in summary
    assert "not the same number of finalists" in summary
    table = pd.read_csv("audited/searches.csv")
    assert table["search"].tolist() == ["PPO_0", "PPO_1", "mean", "RandomSearch_2", "RandomSearch_3", "mean"]
    losses = pd.read_csv("audited/summary.csv").set_index("label")["difference"]
    gaps = np.array([losses["PPO_0 #1"], 0.0])
    assert table["difference"][:2].tolist() == pytest.approx(gaps.tolist())
    assert table["difference"][2] == pytest.approx(gaps.mean())
    assert table["sd_between_searches"][2] == pytest.approx(gaps.std(ddof=1))
    # With so few rows the interval has more in it than Student's of the searches alone.
    assert table["high"][2] - table["low"][2] > 12.7 * stats.sem(gaps)
    assert "Searches compared with BCE" in capsys.readouterr().out
    monkeypatch.setattr(FullTraining, "train", None)
    assert main(command) == 0
    assert Path("audited/summary.md").read_text() == summary


def test_searches_that_cannot_be_audited_together_are_refused(
    searches: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for second, said in ((searches[0], "is named twice"), ("absent", "'absent' holds no study")):
        assert main(["compare", "--study", searches[0], second, "--root=audited"]) == 1
        assert said in capsys.readouterr().err
    config = Path(searches[1], "config.yaml")
    config.write_text(config.read_text().replace("embedding_dim: 4", "embedding_dim: 8"))
    assert main(["compare", "--study", *searches[:2], "--root=audited"]) == 1
    assert "embedding_dim was 4 and is 8" in capsys.readouterr().err
    assert not Path("audited").exists()


# The README's commands run the quickstart too.
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow if path.stem == "quickstart" else (), id=path.stem) for path in CONFIGS],
)
def test_every_configuration_runs(path: Path, tmp_path: Path) -> None:
    data = data_of(path, tmp_path / "data")
    loss = "PSL" if path.stem == "top_n" else "MSE"
    tiny = [
        "--trainer.max_epochs=1",
        "--trainer.check_val_every_n_epoch=1",
        "--trainer.limit_train_batches=2",
        "--trainer.accelerator=cpu",
    ]
    small = ["--seeds=2", "--trials=2", "--learning_rates", "1e-2", "--weight_decays", "0", "--resamples=50"]
    assert (
        main(["compare", f"--config={path}", "--tuning_seeds=1", *data, *tiny, *small, "--losses", loss, "--root=tiny"])
        == 0
    )
    assert set(pd.read_csv("tiny/results.csv")["status"]) == {"trained"}


def test_listwise_losses_are_compared_by_the_mean_over_users(capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data=SyntheticFeedback", "--data.num_users=60", "--data.num_items=50", "--data.num_interactions=1100"]
    small = ["--seeds=2", "--tuning_seeds=1", "--learning_rates=[0.03]", "--weight_decays=[0]", "--resamples=200"]
    tuned = ["--compare.grid={loss.temperature: [0.1, 0.3]}", "--trials=3"]
    model = ["--model=MF", "--model.embedding_dim=4", "--model.cutoffs=[10]"]
    assert (
        main(["compare", *data, *model, *TRAINER, *small, *tuned, "--losses=[PSL, DirectAU]", "--root=compared"]) == 0
    )
    assert yaml.safe_load(Path("compared/config.yaml").read_text())["compare"]["monitor"] == "val/ndcg@10"
    said = capsys.readouterr().out
    assert "NDCG@10" in said
    assert "--compare.trials is 3, but DirectAU is tried with 1" in " ".join(said.split())
    results = pd.read_csv("compared/results.csv").set_index(["loss", "seed"])
    assert set(results.index.get_level_values("loss")) == {"SampledSoftmax", "PSL", "DirectAU"}
    assert results["loss.temperature"].isna().groupby("loss").all().to_dict() == {
        "SampledSoftmax": False,
        "PSL": False,
        "DirectAU": True,
    }
    for row in results.itertuples():
        stored = np.load(f"compared/predictions/{row.predictions}.npz")
        assert stored["test_score"].mean() == pytest.approx(results.loc[row.Index, "test_ndcg@10"], abs=1e-6)
    trials = pd.read_csv("compared/trainings.csv").groupby("loss").size()
    # One learning rate alone leaves nothing to refine for a loss without a temperature.
    assert trials.to_dict() == {"SampledSoftmax": 3, "PSL": 3, "DirectAU": 1}
    summary = pd.read_csv("compared/summary.csv").set_index("loss")
    means = results["test_ndcg@10"].groupby("loss").mean()
    assert summary["difference"]["PSL"] == pytest.approx(means["PSL"] - means["SampledSoftmax"], abs=1e-6)
    assert {"low", "high", "p_holm"} <= set(summary.columns)
