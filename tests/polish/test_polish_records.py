"""What a polish keeps on disk, and reads again."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.polish import training
from lightning_modules.polish.records import PolishRecords
from lightning_modules.utilities.files import save_arrays

METRICS = {"val/auc": 1 / 3, "test/auc/click": 0.1 + 0.2, "test/log_loss": math.nan}
DIVERGED = training.Tested({}, None, 0, 1.5)


def trained(scale: float = 1.0) -> training.Tested:
    return training.Tested(METRICS, scale * torch.tensor([[0.25, 0.5], [0.75, 1.0]]), 3, 1.23456)


def added(records: PolishRecords, arm: str, seed: int, tested: training.Tested) -> None:
    if tested.logit is not None:
        records.checkpoint(arm, seed).write_bytes(b"weights")
    records.add(arm, seed, tested)


def test_what_was_written_is_read_to_the_last_digit(tmp_path: Path) -> None:
    first = PolishRecords(tmp_path)
    for seed, scale in ((1, 1.0), (2, 0.5)):
        added(first, "fine-tuned, -Q", seed, trained(scale))
    added(first, "base", 1, DIVERGED)
    text = (tmp_path / "results.csv").read_text()
    again = PolishRecords(tmp_path)
    assert again.has("fine-tuned, -Q", 2)
    row = again.results(["fine-tuned, -Q"], [1]).iloc[0]
    assert (row["val_auc"], row["test_auc_click"], row["epoch"], row["seconds"]) == (1 / 3, 0.1 + 0.2, 3, 1.235)
    assert math.isnan(row["test_log_loss"])
    added(again, "base", 2, DIVERGED)
    assert (tmp_path / "results.csv").read_text().startswith(text)
    stacked = again.logits("fine-tuned, -Q", [1, 2])
    assert stacked is not None
    assert stacked[:, 0].tolist() == [[0.25, 0.5], [0.125, 0.25]]


def test_only_what_is_there_whole_is_done(tmp_path: Path) -> None:
    records = PolishRecords(tmp_path)
    added(records, "base", 1, trained())
    added(records, "fine-tuned", 1, DIVERGED)
    assert [records.has("base", 1), records.has("fine-tuned", 1)] == [True, True]
    assert [records.has("base", 2), records.has("other", 1)] == [False, False]
    assert records.logits("fine-tuned", [1]) is None
    assert records.logits("base", [1, 2]) is None
    for name in ("base.ckpt", "base.npz"):
        content = (tmp_path / "seed_1" / name).read_bytes()
        (tmp_path / "seed_1" / name).unlink()
        assert not PolishRecords(tmp_path).has("base", 1)
        (tmp_path / "seed_1" / name).write_bytes(content)


def test_a_second_outcome_takes_the_place_of_the_first(tmp_path: Path) -> None:
    records = PolishRecords(tmp_path)
    added(records, "base", 1, DIVERGED)
    added(records, "base", 1, trained())
    assert PolishRecords(tmp_path).results(["base"], [1])["epoch"].tolist() == [3]


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    records = PolishRecords(tmp_path)
    for arm, seed in (("b", 2), ("a", 1), ("a", 2), ("c", 1)):
        added(records, arm, seed, DIVERGED)
    rows = records.results(["a", "b"], [1, 2])
    assert list(zip(rows["arm"], rows["seed"], strict=True)) == [("a", 1), ("a", 2), ("b", 2)]


def test_given_critics_serve_all_seeds(tmp_path: Path) -> None:
    records = PolishRecords(tmp_path)
    assert records.critics(3, None) == tmp_path / "seed_3" / "critics.ckpt"
    assert records.critics(3, "agent.ckpt") == Path("agent.ckpt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arm,seed,epoch,seconds,val_auc\nbase,1,3,1.2,0.5\nfine-tuned,1,2", r"line 3 has 3 values and not 5"),
        ("arm,seed,epoch,seconds\nbase,1,3,1.2,0.5\n", r"line 2 has 5 values and not 4"),
        ("arm,seed\nbase,1\n", r"it has no column epoch, seconds"),
        ("arm,seed,epoch,seconds\nbase,x,3,1.2\n", r"invalid literal .*'x'"),
        ("", r"not enough values"),
        ("arm,seed,epoch,seconds,val_auc\nbase,1,3,1.2,much\n", r"could not convert .*'much'"),
    ],
)
def test_a_torn_table_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"results.csv cannot be read: {message}.*; correct it, or name another"):
        PolishRecords(tmp_path)


def test_torn_probabilities_are_told(tmp_path: Path) -> None:
    records = PolishRecords(tmp_path)
    added(records, "base", 1, trained())
    file = tmp_path / "seed_1" / "base.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"base.npz is damaged"):
        records.logits("base", [1])


def test_probabilities_of_an_earlier_version_are_read_as_logits_unless_they_were_rounded(tmp_path: Path) -> None:
    records = PolishRecords(tmp_path)
    added(records, "base", 1, trained())
    for probability in ([[0.25, 0.5], [0.75, 0.9]], [[0.25, 0.5], [0.75, 1.0]]):
        save_arrays(tmp_path / "seed_1" / "base.npz", {"test": np.array(probability, dtype=np.float32)})
        if probability[1][1] < 1:
            logits = records.logits("base", [1])
            assert logits is not None
            assert logits[0].tolist() == pytest.approx(np.log(probability) - np.log1p(-np.array(probability)), abs=1e-6)
    for read in (lambda: records.logits("base", [1]), lambda: PolishRecords(tmp_path)):
        with pytest.raises(ValueError, match=r"base\.npz holds probabilities.* 1 of them were rounded to 0 or 1"):
            read()
