import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.files import save_arrays
from tests.compare.compare_helpers import FAST, SLOW, diverged, failed, measured, trained

AWKWARD = Setting(0.1 + 0.2, 1 / 3 * 1e-5)
TITLE = 'max(label, pred) - "quoted", and\nbroken'


def same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two rows agree in every bit; what a row leaves out is nan once it is in a table."""
    keys = {**left, **right}
    blank = {key for key in keys if all(_is_blank(row.get(key)) for row in (left, right))}
    return all(left.get(key) == right.get(key) for key in keys if key not in blank)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize(
    "training",
    [trained(2 / 3, metrics={"val/auc": 0.1 + 0.2, "val/log_loss": 1e-17 / 3}), diverged()],
    ids=["trained", "diverged"],
)
def test_a_training_is_found_again_bit_for_bit(tmp_path: Path, training: TrainingRun) -> None:
    written = ComparisonRecords(tmp_path).add_training(TITLE, 3, AWKWARD, training)
    found = ComparisonRecords(tmp_path).training(TITLE, 3, AWKWARD)
    assert found is not None
    assert same(written, found)
    assert found["status"] == training.status
    assert found.get("val_auc") == training.metrics.get("val/auc")


def test_results_and_predictions_are_found_again_bit_for_bit(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    outcomes = {seed: measured(seed) for seed in (7, 8)}
    rows = {seed: records.add_result(TITLE, seed, FAST, trained(0.7), outcomes[seed]) for seed in outcomes}
    again = ComparisonRecords(tmp_path)
    for seed, row in rows.items():
        found = again.result(TITLE, seed, FAST)
        assert found is not None
        assert same(row, found)
    expected = torch.stack([outcomes[seed].test.score for seed in (8, 7)])
    assert torch.equal(again.test_scores(TITLE, (8, 7)), expected)
    label, user = again.rows("test")
    assert torch.equal(label, outcomes[7].test.label)
    assert torch.equal(user, outcomes[7].test.user)
    assert torch.equal(again.rows("validation")[0], outcomes[7].validation.label)
    assert again.results["seed"].tolist() == [7, 8]


def test_a_result_has_metrics_of_both_splits_and_their_standard_errors(tmp_path: Path) -> None:
    outcome = measured(1, auc=0.625)
    row = ComparisonRecords(tmp_path).add_result("BCE", 1, FAST, trained(0.75), outcome)
    assert (row["val_auc"], row["test_auc"], row["test_log_loss"]) == (0.75, 0.625, 0.375)
    auc = roc_auc_score(outcome.test.label, outcome.test.score)
    positives = float(outcome.test.label.sum())
    largest = math.sqrt(auc * (1 - auc) / (min(positives, len(outcome.test.label) - positives) - 1))
    assert 0 < row["test_auc_se"] < largest
    assert row["test_auc_se"] != row["val_auc_se"]
    assert (tmp_path / "predictions" / f"{row['predictions']}.npz").is_file()


def test_the_files_lead_with_loss_seed_and_setting(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    records.add_training("BCE", 1, FAST, trained(0.7))
    records.add_result("BCE", 1, FAST, trained(0.7), measured(1))
    for name in ("trainings.csv", "results.csv"):
        table = pd.read_csv(tmp_path / name)
        assert table.columns[:5].tolist() == ["loss", "seed", "learning_rate", "weight_decay", "status"]


def test_other_seeds_settings_and_losses_are_not_found(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    records.add_training("BCE", 1, FAST, trained(0.7))
    for each in (records, ComparisonRecords(tmp_path)):
        assert each.training("BCE", 1, FAST) is not None
        assert each.training("BCE", 2, FAST) is None
        assert each.training("BCE", 1, SLOW) is None
        assert each.training("MSE", 1, FAST) is None
        assert each.result("BCE", 1, FAST) is None


def test_what_failed_is_to_be_done_again_and_what_diverged_is_not(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    for title, training in {"fails": failed("OSError: disk\nfull"), "diverges": diverged()}.items():
        records.add_training(title, 1, FAST, training)
        records.add_result(title, 1, FAST, training, None)
    for each in (records, ComparisonRecords(tmp_path)):
        assert each.training("fails", 1, FAST) is None
        assert each.result("fails", 1, FAST) is None
        kept = each.result("fails", 1, FAST, with_failed=True)
        assert kept is not None
        assert kept["error"] == "OSError: disk\nfull"
        assert each.training("diverges", 1, FAST) is not None
        assert each.result("diverges", 1, FAST) is not None


def test_a_second_attempt_takes_the_place_of_a_failure(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    records.add_training("BCE", 1, FAST, failed())
    records.add_training("BCE", 1, SLOW, trained(0.6))
    ComparisonRecords(tmp_path).add_training("BCE", 1, FAST, trained(0.7))
    assert pd.read_csv(tmp_path / "trainings.csv")["status"].tolist() == ["trained", "trained"]


def test_a_result_with_another_setting_takes_the_place_of_the_first(tmp_path: Path) -> None:
    ComparisonRecords(tmp_path).add_result("BCE", 1, SLOW, trained(0.6), measured(1))
    records = ComparisonRecords(tmp_path)
    records.add_result("BCE", 1, FAST, trained(0.7), measured(2))
    records.add_result("BCE", 2, SLOW, trained(0.65), measured(3))
    again = ComparisonRecords(tmp_path)
    assert again.result("BCE", 1, SLOW) is None
    assert again.result("BCE", 1, FAST) is not None
    assert again.results["seed"].tolist() == [1, 2]
    assert torch.equal(again.test_scores("BCE", [1])[0], measured(2).test.score)


def test_losses_with_like_titles_keep_predictions_apart(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    titles = ["a" * 60, "a" * 61, "pred + label", "pred - label"]
    names = [records.add_result(title, 1, FAST, trained(0.6), measured(1))["predictions"] for title in titles]
    assert len(set(names)) == 4


DAMAGES = {
    "empty": lambda text: "",
    "torn": lambda text: text + '"torn, 1',
    "no header": lambda text: text.split("\n", 1)[1],
    "no status": lambda text: text.replace(",status,", ",state,"),
    "no setting": lambda text: text.replace("learning_rate", "rate"),
    "too many cells": lambda text: text + "a" + "," * 40 + "\n",
    "not text": lambda text: "\x80\x81" + text,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["trainings.csv", "results.csv"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, name: str, damage: str) -> None:
    records = ComparisonRecords(tmp_path)
    records.add_training("BCE", 1, FAST, trained(0.7))
    records.add_result("BCE", 1, FAST, trained(0.7), measured(1))
    (tmp_path / name).write_text(DAMAGES[damage]((tmp_path / name).read_text()), encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{name}.*name another --compare.root"):
        ComparisonRecords(tmp_path)


def test_a_process_that_does_not_write_remembers_all_the_same(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path / "new", writes=False)
    records.add_training("BCE", 1, FAST, trained(0.7))
    records.add_result("BCE", 1, FAST, trained(0.7), measured(1))
    assert records.training("BCE", 1, FAST) is not None
    assert records.result("BCE", 1, FAST) is not None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_probabilities_were_rounded_is_refused_at_once(tmp_path: Path) -> None:
    row = ComparisonRecords(tmp_path).add_result("BCE", 1, FAST, trained(0.7), measured(1))
    path = tmp_path / "predictions" / f"{row['predictions']}.npz"
    score = torch.sigmoid(measured(1).test.score)
    save_arrays(path, {"validation": score.numpy(), "test": score.numpy()})
    order = ComparisonRecords(tmp_path).test_scores("BCE", [1])[0].argsort(stable=True)
    assert torch.equal(order, score.argsort(stable=True))
    save_arrays(path, {"validation": score.numpy(), "test": score.round().numpy()})
    with pytest.raises(ValueError, match=rf"{path.name} holds probabilities.* {len(score)} of them were rounded"):
        ComparisonRecords(tmp_path)


def test_tuned_options_of_losses_are_part_of_what_a_training_is_found_by(tmp_path: Path) -> None:
    soft, hard = (Setting(0.01, 0.0, (("temperature", value),)) for value in (0.1 + 0.2, 1 / 3))
    records = ComparisonRecords(tmp_path)
    records.add_training("Soft", 1, soft, trained(0.7))
    records.add_training("BCE", 1, FAST, trained(0.6))
    for each in (records, ComparisonRecords(tmp_path)):
        assert each.training("Soft", 1, soft) is not None
        assert each.training("Soft", 1, hard) is None
        assert each.training("Soft", 1, Setting(0.01, 0.0)) is None
        assert each.training("BCE", 1, FAST) is not None
