"""The whole comparison, once on small data, and what it leaves behind."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from datamodules import SyntheticInteractions
from lightning_modules.compare.command import run_compare
from lightning_modules.compare.compared_losses import GIVEN, HAND_MADE, SEARCH
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import BPR, MSE, Loss, MisfitError, RankNetLoss
from lightning_modules.recommenders import BiasedMF
from lightning_modules.training.full_training import FullTraining
from tests.broken_losses import Raising
from tests.compare.compare_helpers import RECIPE, builder_of, small_data, table_rows, write_study

SEED = 11
FORMULA, SEARCHED = "(label - pred)**2 * 3", "exp((label - pred)**2)"
TITLES = ["BCE", "MSE", "(label - pred)**2 * 3", SEARCHED]
FIRST_COLUMNS = ["loss", "seed", "learning_rate", "weight_decay", "status", "score", "epoch", "epochs", "converged"]


class Failing(Raising):
    def __init__(self) -> None:
        super().__init__(ValueError("boom"))


@dataclass(frozen=True)
class Comparison:
    settings: CompareSettings
    datamodule: SyntheticInteractions

    def build(self) -> BiasedMF:
        return builder_of(self.datamodule)()

    def run(self, save_config: Callable[[Path], None]) -> ComparisonReport:
        return run_compare(
            self.settings,
            model=self.build(),
            datamodule=self.datamodule,
            trainer_recipe=RECIPE,
            seed=SEED,
            save_config=save_config,
        )


def comparison(root: Path, **options: object) -> Comparison:
    small = {"learning_rates": [0.02, 0.1], "weight_decays": [0.0], "extensions": 0, "refinements": 0}
    small |= {"losses": [MSE()], "formulas": [FORMULA], "seeds": 2, "patience": 2, "resamples": 300}
    settings = CompareSettings(root=str(root), **{**small, **options})  # type: ignore[arg-type]
    return Comparison(settings, small_data())


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("settings\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("comparison")
    study = write_study(folder / "study", [SEARCHED], {"strategy": "PPO", "rounds": 1})
    result = comparison(folder / "run", study=str(study), top=1, save_checkpoints=True)
    result.run(save)
    return result


@pytest.fixture
def root(whole: Comparison) -> Path:
    return Path(whole.settings.root)


def test_everything_is_in_its_folder(root: Path) -> None:
    names = {path.name for path in root.iterdir() if not path.name.startswith("events.out")}
    files = {
        "config.yaml",
        "data.json",
        "lock",
        "results.csv",
        "trainings.csv",
        "summary.md",
        "summary.csv",
        "intervals.png",
    }
    assert names == files | {"predictions", "checkpoints"}


def test_every_loss_was_tested_with_every_seed(root: Path) -> None:
    table = pd.read_csv(root / "results.csv")
    assert table.columns[: len(FIRST_COLUMNS)].tolist() == FIRST_COLUMNS
    assert {"val_auc", "test_auc", "test_log_loss", "val_auc_se", "test_auc_se", "predictions"} <= {*table.columns}
    assert table["loss"].tolist() == [title for title in TITLES for _ in range(2)]
    assert table["seed"].tolist() == [SEED, SEED + 1] * 4
    assert set(table["status"]) == {"trained"}


def test_every_setting_was_tried_and_the_best_one_is_tested(root: Path) -> None:
    trainings, results = (pd.read_csv(root / f"{name}.csv") for name in ("trainings", "results"))
    assert len(trainings) == 4 * 2
    for title in TITLES:
        tried = trainings[trainings["loss"] == title]
        best = tried.loc[tried["score"].idxmax()]
        tested = results[results["loss"] == title]
        assert set(tested["learning_rate"]) == {best["learning_rate"]}
        assert tested["score"].iloc[0] == best["score"]


def test_the_aucs_are_those_of_the_predictions(root: Path) -> None:
    rows = np.load(root / "predictions" / "rows.npz")
    for row in pd.read_csv(root / "results.csv").itertuples():
        predictions = np.load(root / "predictions" / f"{row.predictions}.npz")
        for split, auc in (("validation", row.val_auc), ("test", row.test_auc)):
            assert roc_auc_score(rows[f"{split}_label"], predictions[f"{split}_score"]) == pytest.approx(auc, abs=1e-6)


def test_the_differences_are_those_of_the_predictions(root: Path) -> None:
    results, summary = pd.read_csv(root / "results.csv"), pd.read_csv(root / "summary.csv")
    label = np.load(root / "predictions" / "rows.npz")["test_label"]
    means = {
        title: np.mean(
            [roc_auc_score(label, np.load(root / "predictions" / f"{name}.npz")["test_score"]) for name in names]
        )
        for title, names in results.groupby("loss")["predictions"]
    }
    assert summary["loss"].tolist() == TITLES
    assert summary["group"].tolist() == [HAND_MADE, HAND_MADE, GIVEN, SEARCH]
    expected = [means[title] - means["BCE"] for title in TITLES[1:]]
    assert summary["difference"].iloc[1:].tolist() == pytest.approx(expected, abs=1e-9)
    assert summary["difference"].isna().tolist() == [True, False, False, False]
    assert (summary["low"] < summary["high"]).tolist() == [False, True, True, True]
    assert summary["proper"].tolist() == [True, True, True, False]


def test_the_page_has_every_loss_the_setup_and_the_audit(whole: Comparison, root: Path) -> None:
    page = (root / "summary.md").read_text(encoding="utf-8")
    rows = whole.datamodule.rows["test"]
    assert [row[0].replace("\\", "") for row in table_rows(page)[2:]] == ["BCE", "MSE", FORMULA, "PPO #1"]
    assert f"BiasedMF on SyntheticInteractions; {len(rows.label)} test rows, {int(rows.label.sum())} of" in page
    assert f"300 resamples of {len(rows.user.unique())} users" in page
    assert "2 validations without a better one" in page
    assert "On held-out data the search " in page


def test_tensorboard_has_one_run_with_all_of_the_comparison(root: Path) -> None:
    assert {path.parent for path in root.rglob("events.out.tfevents.*")} == {root}
    results, events = pd.read_csv(root / "results.csv"), EventAccumulator(str(root)).Reload()
    tags = events.Tags()
    assert set(tags["images"]) == {"comparison/intervals"}
    assert {f"comparison/{name}/text_summary" for name in ("summary", "results")} < set(tags["tensors"])
    for split in ("test", "val"):
        of_bce = results[results["loss"] == "BCE"]
        assert len(events.Scalars(f"{split}_auc/BCE")) == len(of_bce)
        for event in events.Scalars(f"{split}_auc/BCE"):
            expected = of_bce.set_index("seed").loc[event.step, f"{split}_auc"]
            assert event.value == pytest.approx(expected, abs=1e-6)
    text = events.Tensors("comparison/results/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert len(text.splitlines()) == 2 + len(results)


def test_its_settings_are_those_of_the_comparison(root: Path) -> None:
    events = EventAccumulator(str(root)).Reload()
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    start = HParamsPluginData.FromString(content).session_start_info
    assert {*start.hparams} == {"model", "data", "baseline", "best", "losses", "seeds"}
    summary = pd.read_csv(root / "summary.csv")
    best = events.Scalars("comparison/best_difference")[-1].value
    assert best == pytest.approx(summary["difference"].max(), abs=1e-6)
    assert start.hparams["best"].string_value == summary["label"][summary["difference"].idxmax()]


def test_every_loss_is_on_a_chart_beside_the_baseline(root: Path) -> None:
    events = EventAccumulator(str(root)).Reload()
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["Test AUC, by seed", "Validation AUC, by seed"]
    for category, split in zip(layout.category, ("test", "val"), strict=True):
        tags = {tag for tag in events.Tags()["scalars"] if tag.startswith(f"{split}_auc/")}
        shown = set()
        for chart in category.chart:
            (pattern,) = chart.multiline.tag
            matched = {tag for tag in tags if re.match(pattern, tag)}
            assert f"{split}_auc/BCE" in matched
            assert len(matched) <= 6
            shown |= matched
        assert shown == tags


def test_the_checkpoints_are_the_tested_models(whole: Comparison, root: Path) -> None:
    results = pd.read_csv(root / "results.csv")
    assert len(list((root / "checkpoints").iterdir())) == len(results)
    name = results["predictions"].iloc[-1]
    kept = torch.load(root / "checkpoints" / f"{name}.ckpt", weights_only=True)
    model, rows = whole.build(), whole.datamodule.rows["test"]
    model.load_state_dict(kept["state_dict"])
    with torch.no_grad():
        logit = model(rows.user, rows.item)
    tested = np.load(root / "predictions" / f"{name}.npz")["test_score"]
    assert logit.numpy() == pytest.approx(tested, abs=1e-6)
    assert kept["hyper_parameters"]["loss"]["init_args"]["formula"] == SEARCHED


def test_workers_train_and_save_the_same(whole: Comparison, root: Path, tmp_path: Path) -> None:
    settings = replace(whole.settings, root=str(tmp_path), executor="process", workers=2)
    replace(whole, settings=settings).run(save)
    found, same = (
        pd.read_csv(folder / "results.csv").sort_values(["loss", "seed"], ignore_index=True).drop(columns="seconds")
        for folder in (tmp_path, root)
    )
    pd.testing.assert_frame_equal(found, same, check_exact=True)
    for name in ("summary.csv", "summary.md"):
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes()
    for name in found["predictions"]:
        own, other = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for folder in (tmp_path, root)
        )
        assert own["hyper_parameters"] == other["hyper_parameters"]
        assert own["state_dict"].keys() == other["state_dict"].keys()
        assert all(own["state_dict"][each].equal(other["state_dict"][each]) for each in own["state_dict"])


def test_workers_and_models_on_several_devices_exclude_one_another(tmp_path: Path) -> None:
    several = comparison(tmp_path, executor="process")
    with pytest.raises(ValueError, match=r"--compare.executor process trains a model on one device"):
        run_compare(
            several.settings,
            model=several.build(),
            datamodule=several.datamodule,
            trainer_recipe={**RECIPE, "devices": 2},
            seed=SEED,
            save_config=save,
        )
    assert not list(tmp_path.iterdir())


def test_again_it_trains_nothing_and_says_the_same(
    whole: Comparison, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    before = {name: (root / name).read_bytes() for name in ("summary.md", "summary.csv", "results.csv")}
    monkeypatch.setattr(FullTraining, "train", refuse)
    whole.run(save)
    assert {name: (root / name).read_bytes() for name in before} == before
    said = f"Continuing the comparison in {root}: 8 trainings that choose settings, 8 that are tested.\n"
    assert said in capsys.readouterr().out


def test_one_more_loss_trains_that_loss_alone(whole: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, train = [], FullTraining.train

    def watched(self: FullTraining, loss: Loss, *rest: object) -> object:
        trained.append(loss.title)
        return train(self, loss, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(FullTraining, "train", watched)
    settings = replace(whole.settings, formulas=[FORMULA, "abs(label - pred)"])
    report = replace(whole, settings=settings).run(save)
    assert trained == ["abs(label - pred)"] * 3
    assert [each.loss.title for each in report.results] == [*TITLES[:3], "abs(label - pred)", SEARCHED]


def test_one_seed_and_resampled_rows(tmp_path: Path) -> None:
    report = comparison(tmp_path, seeds=1, resample="rows", formulas=[], learning_rates=[0.02]).run(save)
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table["difference"].notna().tolist() == [False, True]
    assert table["p_holm"].isna().all()
    assert "300 resamples of rows" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert report.audit is None


def test_a_loss_that_fails_is_reported_beside_the_others(tmp_path: Path) -> None:
    report = comparison(tmp_path, losses=[Failing(), MSE()], formulas=[], learning_rates=[0.02]).run(save)
    _, failing, sound = report.results
    assert failing.broken_seeds == [SEED, SEED + 1]
    assert sound.is_sound
    assert sum("boom" in remark for remark in report.remarks) == 2


def test_a_baseline_that_cannot_be_trained_ends_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"the baseline Failing could not be trained .*boom"):
        comparison(tmp_path, baseline=Failing()).run(save)
    assert set(pd.read_csv(tmp_path / "results.csv")["loss"]) == {"Failing"}
    assert not (tmp_path / "summary.md").exists()


def test_a_folder_that_another_comparison_began_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise ValueError("begun with other settings")

    with pytest.raises(ValueError, match="begun with other settings"):
        comparison(tmp_path / "run").run(refuse)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"losses": [MSE(), BPR()]}, "BPR wants a difference and BiasedMF gives a logit"),
        ({"baseline": RankNetLoss()}, "RankNetLoss wants a difference"),
        ({"formulas": [FORMULA, "1 + label"]}, "nothing can be trained on the formula 1 \\+ label"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused_before_anything_is_trained(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(MisfitError, match=said):
        comparison(tmp_path / "run", **options).run(save)
    assert not (tmp_path / "run").exists()
