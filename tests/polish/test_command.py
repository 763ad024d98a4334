"""The whole polish, once on small data, what it leaves behind, and how it goes on."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from datamodules.loader import BatchLoader
from lightning_modules.agents import CriticWeightedLoss
from lightning_modules.multitask import DynamicWeightAveraging
from lightning_modules.polish.arms import Arm
from lightning_modules.polish.critic_fitting import CriticFitting
from lightning_modules.polish.training import PolishTraining
from lightning_modules.training.convergence import TrainingSettings
from lightning_modules.training.shared_run import SharedRun
from tests.polish.polish_helpers import ARMS, SEED, SmallPolish, curve, polish, results, save, small_data


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SmallPolish:
    # With lambda 0 one arm has constant weights, though it asks the critics.
    result = polish(tmp_path_factory.mktemp("polish") / "run", polish_lambda=0.0, fine_tuning_epochs=2)
    result.run(save)
    return result


@pytest.fixture
def root(whole: SmallPolish) -> Path:
    return Path(whole.settings.root)


def loaded(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_every_arm_has_a_row_a_checkpoint_probabilities_and_curves_with_every_seed(root: Path) -> None:
    table = results(root)
    arms = [name.replace("0.7", "0") for name in ARMS]
    assert [(row.arm, row.seed) for row in table.itertuples()] == [(arm, SEED + i) for i in range(2) for arm in arms]
    files = {"config.yaml", "data.json", "results.csv", "summary.md", "differences.csv", "lock"}
    names = {path.name for path in root.iterdir() if not path.name.startswith("events.out")}
    assert names == {*files, "seed_5", "seed_6"}
    stems = {path.stem for path in (root / "seed_5").glob("*.npz")}
    assert stems >= {"base", "fine_tuned", "fine_tuned_1_0_Q", "fine_tuned_label_Q", "fine_tuned_Q"}
    assert len(stems) == len(arms)
    assert {path.stem for path in (root / "seed_5").glob("*.ckpt")} == {*stems, "critics"}
    assert {path.parent for path in root.rglob("events.out.tfevents.*")} == {root}
    assert len(curve(root, "base/seed_5/val/auc")) == 3
    assert len(curve(root, "critics/seed_5/train/critic_loss")) == 1
    assert [epoch for epoch, _ in curve(root, "fine_tuned_Q/seed_5/weight/click/mean")] == [1, 2]


def test_the_curves_of_a_seed_share_charts_and_those_of_critics_have_their_own(root: Path) -> None:
    events = EventAccumulator(str(root)).Reload()
    (written,) = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(written.tensor_proto.string_val[0])
    tags = events.Tags()["scalars"]
    assert [group.title for group in layout.category] == ["Seed 5", "Seed 6", "Critics"]
    for group in layout.category:
        for chart in group.chart:
            (pattern,) = chart.multiline.tag
            shown = [tag for tag in tags if re.match(pattern, tag)]
            assert 1 < len(shown) <= 6
            assert all(tag.startswith("critics/") == (group.title == "Critics") for tag in shown)


def test_its_pictures_and_report_are_in_the_run_and_there_are_no_hyper_parameters(root: Path) -> None:
    events = EventAccumulator(str(root)).Reload()
    assert set(events.Tags()["images"]) == {"polish/auc", "polish/session_log_loss"}
    text = events.Tensors("polish/summary/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text == (root / "summary.md").read_text(encoding="utf-8")
    assert not any("hp" in tag for tag in events.Tags()["scalars"])
    assert not any(tag.split("/")[2] not in ("train", "val", "weight") for tag in events.Tags()["scalars"])


@pytest.mark.parametrize(("arm", "file"), [("base", "base"), ("fine-tuned, -Q", "fine_tuned_Q")])
def test_the_metrics_are_those_of_the_logits_and_of_the_checkpoint(
    arm: str, file: str, whole: SmallPolish, root: Path
) -> None:
    rows = whole.impressions.test_dataloader().rows
    row = results(root).set_index(["seed", "arm"]).loc[(6, arm)]
    logit = np.load(root / "seed_6" / f"{file}.npz")["test_score"]
    assert roc_auc_score(rows.label[:, 0], logit[:, 0]) == pytest.approx(row["test_auc_click"], abs=1e-6)
    model = whole.build().eval()
    model.load_state_dict(loaded(root / "seed_6" / f"{file}.ckpt")["state_dict"])
    with torch.no_grad():
        found = model(rows.categorical, rows.numerical)
    assert found.numpy() == pytest.approx(logit, abs=1e-6)


def test_the_checkpoint_is_of_the_best_epoch(root: Path) -> None:
    for row in results(root).itertuples():
        if row.arm == "base":
            scores = [value for _, value in curve(root, f"base/seed_{row.seed}/val/auc")]
            assert row.epoch == 1 + int(np.argmax(scores))
            assert row.val_auc == pytest.approx(max(scores), abs=1e-6)


def first_batch_loss(whole: SmallPolish, checkpoint: Path, seed: int) -> float:
    """Return the loss of a stored model on what the first batch of a training with this seed is."""
    rows = whole.impressions.rows["train"]
    model = whole.build().train()
    model.load_state_dict(loaded(checkpoint)["state_dict"])
    batch = next(iter(BatchLoader(rows, whole.impressions.batch_size, shuffle=True, seed=seed)))
    with torch.no_grad():
        logit = model(batch.categorical, batch.numerical)
    return float(F.binary_cross_entropy_with_logits(logit, batch.label))


def test_the_control_starts_from_the_bases_weights_and_takes_the_steps_of_every_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def note(run: SharedRun, metrics: dict[str, float], step: int) -> None:
        if "train/loss_step" in metrics:
            losses[run.name].append((step, metrics["train/loss_step"]))

    monkeypatch.setattr(SharedRun, "log_metrics", note)
    still = polish(tmp_path / "run", model={"dropout": 0.0}, weightings=[DynamicWeightAveraging()], seeds=1)
    still.run(save)
    folder = tmp_path / "run" / "seed_5"
    (_, first), *_ = control = losses["fine_tuned/seed_5"]
    assert first == pytest.approx(first_batch_loss(still, folder / "base.ckpt", SEED), abs=1e-6)
    steps = -(-len(still.impressions.rows["train"].row) // 64)
    assert [step for step, _ in control] == list(range(steps))
    for arm in ("fine_tuned_1_0.7_Q", "fine_tuned_label_Q", "fine_tuned_Q"):
        assert len(losses[f"{arm}/seed_5"]) == steps
    # Trained from scratch, arms start where the base model did.
    begun = [losses[f"{arm}/seed_5"][0][1] for arm in ("base", "from_scratch_DynamicWeightAveraging")]
    assert begun[0] == begun[1]
    assert begun[0] != first


def test_constant_weights_are_the_control_bit_for_bit(whole: SmallPolish, root: Path) -> None:
    table = results(root).drop(columns="seconds").set_index(["seed", "arm"])
    for seed in (SEED, SEED + 1):
        pd.testing.assert_series_equal(
            table.loc[(seed, "fine-tuned")],
            table.loc[(seed, "fine-tuned, 1 - 0 Q")],
            check_names=False,
            check_exact=True,
        )
        equal = [
            np.load(root / f"seed_{seed}" / f"{name}.npz")["test_score"] for name in ("fine_tuned", "fine_tuned_1_0_Q")
        ]
        assert np.array_equal(*equal)
        assert not np.array_equal(equal[0], np.load(root / f"seed_{seed}" / "fine_tuned_Q.npz")["test_score"])


def test_the_constant_variant_is_the_control_bit_for_bit(whole: SmallPolish, root: Path, tmp_path: Path) -> None:
    def loss(base: Any, critics: Path) -> CriticWeightedLoss:
        return CriticWeightedLoss(str(critics), base, 0.7, "constant")

    def build() -> Any:
        model = whole.build()
        model.load_state_dict(loaded(root / "seed_5" / "base.ckpt")["state_dict"])
        Arm("constant", fine_tuned=True, loss=loss).equip(model, root / "seed_5" / "critics.ckpt")
        return model

    training = PolishTraining(whole.impressions, whole.recipe, "val/auc", "max")
    tested = training.train(build, TrainingSettings(2, learning_rate=1e-3), SEED, tmp_path / "constant.ckpt")
    assert tested.logit is not None
    assert np.array_equal(tested.logit.numpy(), np.load(root / "seed_5" / "fine_tuned.npz")["test_score"])


def test_the_critics_were_fitted_to_the_bases_predictions(root: Path) -> None:
    stored = loaded(root / "seed_6" / "critics.ckpt")
    for name, value in loaded(root / "seed_6" / "base.ckpt")["state_dict"].items():
        assert torch.equal(stored["state_dict"][f"actor.{name}"], value)
    arguments = stored["hyper_parameters"]
    assert (arguments["embed_dim"], arguments["actor_frozen"], arguments["gamma"]) == (4, True, 0.9)
    # A replay would be nearly all of the file, and nobody goes on from there.
    assert not stored["training_state"]["replay"]["columns"]


def test_the_page_says_what_was_done(root: Path) -> None:
    page = (root / "summary.md").read_text(encoding="utf-8")
    assert "ESMM on SyntheticImpressions; 48 test rows in 12 sessions; seeds 5 to 6." in page
    assert "takes 2 epochs with learning rate 0.001" in page
    assert "| from scratch, DynamicWeightAveraging |" in page
    assert "- seed 6: the critic of conversion has Q -" in page


def test_again_it_trains_nothing_and_says_the_same(
    whole: SmallPolish, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    before = {name: (root / name).read_bytes() for name in ("summary.md", "results.csv")}
    monkeypatch.setattr(PolishTraining, "train", refuse)
    monkeypatch.setattr(CriticFitting, "fit", refuse)
    whole.run(save)
    assert {name: (root / name).read_bytes() for name in before} == before
    tested = len(pd.read_csv(root / "results.csv"))
    assert f"Continuing the polish in {root}: {tested} tested models.\n" in capsys.readouterr().out


def test_without_critic_weights_no_critics_are_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nobody needs them")

    monkeypatch.setattr(CriticFitting, "fit", refuse)
    report = polish(tmp_path / "run", variants=["constant"], weightings=[]).run(save)
    assert list(report.results["arm"].unique()) == ["base", "fine-tuned"]
    assert not any("critic" in remark for remark in report.remarks)
    assert "Q is" not in report.setup


def test_critics_of_another_model_serve_all_seeds(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("there are critics")

    monkeypatch.setattr(CriticFitting, "fit", refuse)
    critics = root / "seed_5" / "critics.ckpt"
    given: dict[str, Any] = {"critics": str(critics), "variants": ["minus_q"], "from_scratch": False}
    report = polish(tmp_path / "run", **given, model={"embedding_dim": 8}).run(save)
    stored = loaded(tmp_path / "run" / "seed_6" / "fine_tuned_Q.ckpt")["hyper_parameters"]["loss"]["init_args"]
    assert stored["agent"] == str(critics)
    assert f"Q is that of {critics} for all seeds." in report.setup
    assert sum("the critic of" in remark for remark in report.remarks) == 4


def test_one_seed_has_no_differences(tmp_path: Path) -> None:
    report = polish(tmp_path / "run", seeds=1, variants=[], weightings=[]).run(save)
    assert report.differences == {}
    assert any("take more seeds" in remark for remark in report.remarks)
    assert "; seed 5. The base" in report.setup


def test_arms_that_are_not_finite_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diverging = polish(tmp_path / "run", variants=["minus_q"], from_scratch=False, fine_tuning_learning_rate=1e30)
    report = diverging.run(save)
    assert "fine-tuned: no epoch had a finite val/auc" in capsys.readouterr().out
    assert report.differences == {}
    assert report.means()[1][1] == ["fine-tuned", *["-"] * 6, "0/0"]
    assert any("without differences: fine-tuned; fine-tuned, -Q" in remark for remark in report.remarks)
    before = (tmp_path / "run" / "results.csv").read_text()
    diverging.run(save)
    assert (tmp_path / "run" / "results.csv").read_text() == before


def test_a_base_that_cannot_be_trained_ends_the_polish(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="base model of seed 5 cannot be fine-tuned: no epoch had a finite val/auc"):
        polish(tmp_path / "run", recipe={"max_epochs": 0}).run(save)
    assert not (tmp_path / "run" / "results.csv").exists()


def test_a_training_that_is_cut_short_is_told_of(whole: SmallPolish, tmp_path: Path) -> None:
    given: dict[str, Any] = {"variants": [], "weightings": [], "seeds": 1}
    # The second is validated once, after two epochs.
    for name, recipe in {"run": {"max_epochs": 1}, "rare": {"max_epochs": 3, "check_val_every_n_epoch": 2}}.items():
        report = polish(tmp_path / name, **given, recipe=recipe, patience=1, fine_tuning_epochs=2).run(save)
        assert "ended by trainer.max_epochs before val/auc had stopped getting better, for one seed at least: base" in (
            report.remarks
        )
    (remark,) = polish(tmp_path / "long", **given, recipe={"max_epochs": 200}, patience=1).run(save).remarks
    assert "take more seeds" in remark


def test_a_limit_of_steps_shortens_models_and_not_critics(tmp_path: Path) -> None:
    given: dict[str, Any] = {"seeds": 1, "variants": ["minus_q"], "from_scratch": False, "agent_epochs": 4}
    short = polish(tmp_path / "run", **given, recipe={"max_epochs": 20, "max_steps": 12})
    remarks = short.run(save).remarks
    assert remarks[-1] == (
        "ended by trainer.max_epochs or trainer.max_steps before val/auc had stopped getting better, for one seed at "
        "least: base"
    )
    assert len(curve(tmp_path / "run", "critics/seed_5/train/critic_loss")) == 4
    # Of an earlier version, which did not note what ended a training.
    results(tmp_path / "run").drop(columns="limited").to_csv(tmp_path / "run" / "results.csv", index=False)
    assert short.run(save).remarks == remarks[:-1]


def test_options_that_agents_refuse_do_not_reach_them(tmp_path: Path) -> None:
    recipe = {"gradient_clip_val": 1.0, "accumulate_grad_batches": 2, "max_epochs": 1}
    report = polish(tmp_path / "run", recipe=recipe, seeds=1, variants=["minus_q"], weightings=[]).run(save)
    assert set(report.results["arm"]) == {"base", "fine-tuned", "fine-tuned, -Q", "from scratch, -Q"}


def test_critics_of_the_default_agent_learn_of_the_models_own_predictions(tmp_path: Path) -> None:
    polish(tmp_path / "run", agent=None, seeds=1, variants=["minus_q"]).run(save)
    settings = loaded(tmp_path / "run" / "seed_5" / "critics.ckpt")["hyper_parameters"]
    assert (settings["behaviour"], settings["actor_frozen"]) == ("actor", True)


def test_tasks_may_have_slashes_in_their_names(tmp_path: Path) -> None:
    data = small_data()
    data.task_columns = {"view/click": ["click"], "view/buy": ["conversion"]}
    alone: dict[str, Any] = {"variants": [], "from_scratch": False}
    report = polish(tmp_path / "run", data, **alone).run(save)
    header, rows = report.means({"auc": "AUC"})
    assert header == ["arm", "view/click", "view/buy", "best epoch"]
    base = results(tmp_path / "run").query("arm == 'base'")
    aucs = [f"{base[f'test_auc_view_{task}'].mean():.4f}" for task in ("click", "buy")]
    assert [cell.split(" ± ")[0] for cell in rows[0][1:3]] == aucs
