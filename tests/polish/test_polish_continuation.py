"""A polish goes on where it was ended."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lightning_modules.polish.critic_fitting import CriticFitting
from lightning_modules.polish.training import PolishTraining
from lightning_modules.training.convergence import TrainingSettings
from tests.polish.polish_helpers import curve, polish, results, save, small_data, without_seconds


class Ended:
    """Interrupts a polish in its nth training, after that has written its checkpoint or before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, late: bool) -> None:
        self.left, self.late = at, late
        monkeypatch.setattr(PolishTraining, "train", self._watched(PolishTraining.train))
        monkeypatch.setattr(CriticFitting, "fit", self._watched(CriticFitting.fit))

    def _watched(self, call: Any) -> Any:
        def watched(trains: Any, *arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.late:
                # As if it had died in the middle of the training, curves and all.
                checkpoint = arguments[-1]
                suffix = f"{checkpoint.parent.name}.{checkpoint.stem}"
                (checkpoint.parents[1] / f"events.out.tfevents.0.dead.{suffix}").write_bytes(b"")
                raise KeyboardInterrupt
            outcome = call(trains, *arguments)
            if self.left == 0:
                raise KeyboardInterrupt
            return outcome

        return watched


GIVEN: dict[str, Any] = {"variants": ["one_minus_q"], "weightings": []}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished polish of two seeds; tests only read it."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    polish(folder, **GIVEN).run(save)
    return folder


@pytest.fixture(scope="module")
def single(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the first seed alone."""
    folder = tmp_path_factory.mktemp("single") / "run"
    shutil.copytree(reference, folder)
    shutil.rmtree(folder / "seed_6")
    lines = (folder / "results.csv").read_text().splitlines(keepends=True)
    (folder / "results.csv").write_text("".join(line for line in lines if ",6," not in line))
    polish(folder, **GIVEN, seeds=1).run(save)
    return folder


@pytest.mark.parametrize(("at", "late"), [pytest.param(1, True, marks=pytest.mark.slow), (2, False), (4, True)])
def test_an_interrupted_polish_ends_as_an_uninterrupted_one(
    at: int, late: bool, tmp_path: Path, single: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = polish(tmp_path / "run", **GIVEN, seeds=1)
    with monkeypatch.context() as patched:
        Ended(patched, at, late=late)
        with pytest.raises(KeyboardInterrupt):
            one.run(save)
    assert not (tmp_path / "run" / "summary.md").exists()
    one.run(save)
    assert without_seconds(tmp_path / "run") == without_seconds(single)
    assert (tmp_path / "run" / "summary.md").read_text() == (single / "summary.md").read_text()
    assert not list((tmp_path / "run").rglob("*.dead.*"))
    for folder in (tmp_path / "run", single):
        assert len(curve(folder, "base/seed_5/val/auc")) == 3


def test_more_seeds_and_arms_train_what_is_new_alone(
    reference: Path, single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(single, tmp_path / "run")
    one = polish(tmp_path / "run", **GIVEN, seeds=1)
    trained, train = [], PolishTraining.train

    def watched(self: PolishTraining, build: Any, settings: TrainingSettings, seed: int, checkpoint: Path) -> Any:
        trained.append((seed, checkpoint.stem))
        return train(self, build, settings, seed, checkpoint)

    monkeypatch.setattr(PolishTraining, "train", watched)
    replace(one, settings=replace(one.settings, seeds=2)).run(save)
    assert trained == [(6, name) for name in ("base", "fine_tuned", "fine_tuned_1_0.7_Q", "from_scratch_1_0.7_Q")]
    assert (tmp_path / "run" / "summary.md").read_text() == (reference / "summary.md").read_text()
    trained.clear()
    more = replace(one.settings, seeds=2, variants=["minus_q", "one_minus_q"], from_scratch=False)
    report = replace(one, settings=more).run(save)
    assert trained == [(5, "fine_tuned_Q"), (6, "fine_tuned_Q")]
    assert report.means()[1][2][0] == "fine-tuned, -Q"
    assert len(report.means()[1]) == 4


def test_what_is_lost_is_trained_again(reference: Path, tmp_path: Path) -> None:
    shutil.copytree(reference, tmp_path / "run")
    for name in ("base.ckpt", "fine_tuned.npz"):
        (tmp_path / "run" / "seed_5" / name).unlink()
    polish(tmp_path / "run", **GIVEN).run(save)
    kept = results(tmp_path / "run").sort_values(["seed", "arm"]).drop(columns="seconds").reset_index(drop=True)
    whole = results(reference).sort_values(["seed", "arm"]).drop(columns="seconds").reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, whole, check_exact=True)
    assert (tmp_path / "run" / "summary.md").read_text() == (reference / "summary.md").read_text()


def test_other_data_of_the_same_name_are_noticed(reference: Path, tmp_path: Path) -> None:
    shutil.copytree(reference, tmp_path / "run")
    with pytest.raises(ValueError, match=r"begun with other data: train: 512 rows in place of 384; "):
        polish(tmp_path / "run", small_data(num_sessions=160), **GIVEN).run(save)
