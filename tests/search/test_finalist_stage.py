"""Whole searches that end with finalists: their results, their resumption, and what a reader is told."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.common.study_comparison import differences
from lightning_modules.losses import BCE, FormulaLoss, LossObject
from lightning_modules.search.finalist_setup import finalist_training, finalist_weight
from lightning_modules.search.finalist_training import FinalistTraining
from lightning_modules.search.ledger import Ledger, read_finalists
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study import Study, loss_of
from lightning_modules.training.convergence import builder
from lightning_modules.training.full_training import FullTraining
from lightning_modules.training.tuning import Axis, Setting, Tuning
from tests.search.child_helpers import planted_data, untrained
from tests.search.small_studies import interrupted, search, without_figures

STAGE: dict[str, Any] = {"finalists": 2, "finalist_seeds": 2, "finalist_epochs": 4, "references": [BCE()]}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune over two settings, and draw nothing."""
    tuning = Tuning(Axis.of([0.005, 0.02]), Axis.of([1e-4]))
    monkeypatch.setattr(Tuning, "default", lambda: tuning)
    without_figures(monkeypatch)


def trainings(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which every training of a finalist adds its name."""
    names: list[str] = []
    train = FinalistTraining.train

    def noting(self: FinalistTraining, losses: Sequence[LossObject]) -> Any:
        names.extend(loss.title for loss in losses)
        return train(self, losses)

    patch.setattr(FinalistTraining, "train", noting)
    return names


def test_a_finalist_is_scored_on_the_validation_rows_after_training_on_what_is_left_of_the_training_rows(
    tmp_path: Path,
) -> None:
    search(tmp_path, **STAGE)
    found = read_finalists(tmp_path)
    assert len(found) == 3
    data = planted_data()
    held_out = data.hold_out(0.1, 5)
    build = builder(untrained(data))
    recipe = {"max_epochs": 4, "accelerator": "cpu", "devices": 1}
    training = FullTraining(build, held_out, recipe, patience=5, fused=True)
    for name, runs in found.items():
        loss = BCE() if name == "BCE" else FormulaLoss(name)
        settings = [Setting(rate, 1e-4) for rate in (0.005, 0.02)]
        best = max(settings, key=lambda setting: training.train(loss, 5, setting).score)
        for run, seed in zip(runs, (5, 6), strict=True):
            assert (run.seed, run.learning_rate, run.weight_decay) == (seed, best.learning_rate, 1e-4)
            again = training.train(loss, seed, best).model
            assert again is not None
            rows = data.rows["validation"]
            with torch.no_grad():
                logit = again(rows.user, rows.item)
            assert run.score == pytest.approx(roc_auc_score(rows.label, logit), abs=1e-5)


@pytest.mark.parametrize(("every", "validations"), [(1, 20), (3, 7), (100, 4), (None, 20)])
def test_a_finalist_waits_twenty_epochs_and_at_least_as_many_validations_as_a_trial(
    every: int | None, validations: int
) -> None:
    data = planted_data()
    settings = SearchSettings(finalists=1, tuning=RewardTuning(patience=4))
    training = finalist_training(settings, untrained(data), data, data, {"check_val_every_n_epoch": every}, seed=5)
    assert training is not None
    assert training.training.patience == validations


def test_a_finalist_counts_as_many_candidates_as_it_has_epochs_more() -> None:
    tuning = RewardTuning(
        [1e-3, 1e-2], [1e-4], refinements=0, learning_rate_factors=[1.0], weight_decay_factors=[1.0, 3.0]
    )
    settings = SearchSettings(finalists=1, finalist_seeds=3, finalist_epochs=60, tuning=tuning)
    # Two settings and two further seeds of 60 epochs, beside two settings of 12, or of the ladder's longest budget.
    assert finalist_weight(settings, {"max_epochs": 12}) == pytest.approx(4 * 60 / (2 * 12))
    assert finalist_weight(dataclasses.replace(settings, ladder=[1, 3]), {}) == pytest.approx(4 * 60 / (2 * 3))


def test_a_search_says_what_it_found_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "my run"
    search(root, **STAGE)
    told = capsys.readouterr().out
    table = pd.read_csv(root / "formulas.csv")
    assert table["validated"].notna().sum() == table["validated_se"].notna().sum() == 2
    study = Study.read(root)
    answers = table[table["is_answer"]]
    assert len(answers) <= 1
    if len(answers):
        assert str(loss_of(f"{root}#answer").formula) == answers["formula"].iloc[0]  # type: ignore[union-attr]
        assert study.validated_first["formula"].iloc[0] == answers["formula"].iloc[0]
        assert "is better than that of tuned BCE" in told
    else:
        assert "nothing that beats BCE was found" in told
        with pytest.raises(ValueError, match="nothing that beats the baseline was found"):
            loss_of(f"{root}#answer")
    assert f"compare --study '{root}' --root '{root}_compare'" in told
    assert "after 1 epoch, on rows held out of the training rows" in told


def test_without_finalists_there_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(tmp_path)
    assert "The answer: not validated" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"again with --search\.finalists 10"):
        loss_of(f"{tmp_path}#answer")


def test_a_finished_study_gets_its_finalists_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(tmp_path, references=[BCE()])
    trained = trainings(monkeypatch)
    search(tmp_path, **STAGE)
    assert len(trained) == 3
    search(tmp_path, **STAGE)
    assert len(trained) == 3


@pytest.mark.parametrize("options", [{}, {"strategy": "evolution", "validate_every": 1}], ids=["end", "rounds"])
def test_a_stage_that_was_interrupted_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    options = {**STAGE, **options}
    search(tmp_path / "whole", **options)
    trained, root = trainings(monkeypatch), tmp_path / "stopped"
    for call in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "record_finalist", _stopping(Ledger.record_finalist, call))
            assert interrupted(partial(search, root, **options))
        assert (root / "formulas.csv").exists()
    search(root, **options)
    assert differences(tmp_path / "whole", root) == []
    whole, stopped = (_values(folder) for folder in (tmp_path / "whole", root))
    assert whole == stopped
    # What was written before an interrupt is trained once; what was not, twice.
    assert len(trained) <= len(whole) + 2


def test_a_finalist_whose_training_failed_is_trained_again_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(tmp_path / "whole", **STAGE)
    root, train = tmp_path / "failed", FinalistTraining.train

    def without_memory(self: FinalistTraining, losses: Sequence[LossObject]) -> Any:
        return [
            [dataclasses.replace(run, status="failed", score=None, components=None) for run in runs]
            if loss.title != "BCE"
            else runs
            for loss, runs in zip(losses, train(self, losses), strict=True)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(FinalistTraining, "train", without_memory)
        search(root, **STAGE)
    study = Study.read(root)
    assert (study.num_finalists, study.found_nothing) == (2, True)
    trained = trainings(monkeypatch)
    search(root, **STAGE)
    assert len(trained) == 2
    assert differences(tmp_path / "whole", root) == []
    assert _values(tmp_path / "whole") == _values(root)


def _stopping(record: Callable[..., None], call: int) -> Callable[..., None]:
    calls = 0

    def stopping(self: Ledger, runs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        record(self, runs)

    return stopping


def _values(root: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: [(run.seed, run.status, run.score, run.epoch, run.learning_rate) for run in runs]
        for name, runs in read_finalists(root).items()
    }


def test_workers_come_to_the_same_finalists(tmp_path: Path) -> None:
    search(tmp_path / "serial", **STAGE)
    search(tmp_path / "process", **STAGE, executor="process", workers=2)
    assert _values(tmp_path / "serial") == _values(tmp_path / "process")


def test_rewards_on_validation_rows_are_said_to_flatter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(tmp_path, **STAGE, holdout=0.0)
    assert "finalists look better than they are" in capsys.readouterr().out


def test_a_model_that_cannot_be_built_anew_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    model = untrained(planted_data())
    model._hparams = {}  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"save_hyperparameters.*--search\.finalists 0"):
        search(tmp_path, model=model, **STAGE)
    assert not (tmp_path / "ledger.sqlite").exists()
