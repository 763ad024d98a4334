"""Rewards come with the noise of the rows that they are measured on, and a search says when they are no more."""

import warnings
from pathlib import Path

import pandas as pd
import pytest

from datamodules import SyntheticInteractions
from lightning_modules.losses import BCE, MSE
from lightning_modules.search.ledger import read_ledger, read_trials
from lightning_modules.search.reports.summary import FormulasFile
from lightning_modules.search.rewards import chance_remark, spread_remark
from lightning_modules.statistics.auc import auc_standard_error
from lightning_modules.statistics.ranking import auc, dense_ranks
from lightning_modules.statistics.standard_errors import auc_components, over_groups, standard_error
from tests.search.child_helpers import evaluator, planted_data, trained, untrained
from tests.search.observer_helpers import candidate, reference
from tests.search.small_studies import search, without_figures


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    without_figures(monkeypatch)


def test_a_trials_components_are_those_of_its_scores_on_the_reward_rows() -> None:
    data, model = planted_data(), untrained(planted_data())
    evaluation = trained(evaluator(data), model, BCE())
    assert evaluation.weights is not None
    model.load_state_dict(evaluation.weights)
    (batch,) = data.val_dataloader()
    logit = model.eval()(batch.user, batch.item).detach()
    assert evaluation.score == pytest.approx(float(auc(dense_ranks(logit), batch.label > 0.5)))
    of_users = over_groups(auc_components(dense_ranks(logit), batch.label > 0.5), batch.user)
    assert standard_error(evaluation.components) == pytest.approx(float(of_users.norm()), rel=1e-5)
    # Users have rows that are alike.
    assert standard_error(evaluation.components) != pytest.approx(auc_standard_error(logit, batch.label), rel=1e-2)


def test_every_reward_of_a_search_has_the_paired_error(tmp_path: Path) -> None:
    search(tmp_path, strategy="random")
    found, csv = read_ledger(tmp_path), pd.read_csv(tmp_path / "formulas.csv")
    assert csv.columns[:4].tolist() == ["rank", "formula", "reward", "standard_error"]
    is_trained = found["status"] == "trained"
    assert found.loc[is_trained, "standard_error"].notna().all()
    # The baseline, trained again as a hand-made loss, differs from itself by nothing; other losses do.
    errors = found.set_index("formula")["standard_error"]
    assert errors["BCE"] == 0
    assert 0 < errors["MSE"] < 0.1
    (baseline,) = (trial for key, trial in read_trials(tmp_path).items() if key.is_baseline)
    assert baseline.standard_error == standard_error(baseline.components)
    held_out = planted_data().hold_out(0.1, seed=5)
    again = [trained(evaluator(held_out), untrained(planted_data()), loss, seed=5) for loss in (MSE(), BCE())]
    assert errors["MSE"] == standard_error(again[0].components, again[1].components)
    by_formula = csv.set_index("formula")["standard_error"]
    for formula, error in errors.items():
        assert by_formula[formula] == pytest.approx(error, nan_ok=True)


def test_without_a_baseline_the_error_is_that_of_the_metric_itself(tmp_path: Path) -> None:
    search(tmp_path, strategy="random", relative=False)
    found = read_ledger(tmp_path).set_index("formula")["standard_error"]
    assert found["BCE"] > 0.01


def test_a_metric_that_is_no_auc_has_neither_errors_nor_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*at chance")
        search(tmp_path, strategy="random", monitor="val/log_loss", mode="min")
    assert read_ledger(tmp_path)["standard_error"].isna().all()
    assert pd.read_csv(tmp_path / "formulas.csv")["standard_error"].isna().all()
    output = capsys.readouterr().out
    assert "noise of the reward rows" not in output
    assert "at chance" not in output


def test_a_search_on_noise_warns_at_once_and_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def of_noise(**options: object) -> SyntheticInteractions:
        return planted_data(scale=0.0, num_users=100, num_items=60, num_interactions=3000, **options)

    monkeypatch.setattr("tests.search.small_studies.planted_data", of_noise)
    with pytest.warns(UserWarning, match="baseline BCE is at chance: its AUC on the reward rows is 0.[45]"):
        search(tmp_path)
    output = " ".join(capsys.readouterr().out.split())
    assert "BCE is at chance" in output
    assert "within the noise of the reward rows" in output


def test_a_baseline_is_at_chance_up_to_two_standard_errors_above_a_half() -> None:
    assert "AUC on the reward rows is 0.498" in (chance_remark("BCE", 0.498, 0.02) or "")
    assert chance_remark("BCE", 0.539, 0.02) is not None
    assert chance_remark("BCE", 0.541, 0.02) is None
    assert chance_remark("BCE", 0.3, 0.02) is not None
    assert chance_remark("BCE", -0.8, 0.02) is None
    assert chance_remark("BCE", 0.3, None) is None


def test_rewards_are_noise_where_half_of_them_lie_within_a_standard_error() -> None:
    within = [candidate(reward=reward, standard_error=0.01) for reward in (-0.009, 0.002, 0.009, 0.03, -0.004)]
    remark = spread_remark([*within, reference("MSE", 0.5), candidate(status="failed", reward=-1.0)])
    assert remark is not None
    assert "5 trained formulas lie within 0.9 standard errors of the baseline, one of which is about 0.0100" in remark
    beyond = [candidate(reward=reward, standard_error=0.01) for reward in (-0.02, 0.02, 0.03, 0.03, -0.004)]
    assert spread_remark(beyond) is None
    assert spread_remark(within[:4]) is None
    assert spread_remark([candidate(reward=0.0) for _ in range(9)]) is None


def test_candidates_of_an_earlier_version_have_no_error(tmp_path: Path) -> None:
    file = FormulasFile(tmp_path)
    file.on_candidate(candidate())
    file.on_end()
    assert pd.read_csv(tmp_path / "formulas.csv")["standard_error"].isna().all()
