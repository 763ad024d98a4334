"""Held-out rows that have the user and the item of a training row."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datamodules import InteractionsDataModule

SPLITS = ("train", "validation", "test")


def distinct_rows(size: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    user, item = np.divmod(generator.choice(40 * 50, size, replace=False), 50)
    return pd.DataFrame({"uid": user, "iid": item, "label": generator.integers(0, 2, size)})


def written(root: Path, **tables: pd.DataFrame) -> str:
    for name, table in tables.items():
        table.to_csv(root / f"set.{name}.csv", index=False)
    return str(root)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_held_out_split_that_is_the_training_table_is_warned_of(tmp_path: Path, split: str, times: int) -> None:
    rows = distinct_rows(1000)
    train = pd.concat([rows[:800]] * times)
    tables = {"train": train, "validation": rows[800:900], "test": rows[900:]} | {split: train.sample(frac=1)}
    count = f"{800 * times:,}"
    with pytest.warns(UserWarning, match=f"{count} of the {count} {split} rows of .* learned of these by heart"):
        InteractionsDataModule(written(tmp_path, **tables)).setup()


def test_held_out_rows_that_were_left_in_training_are_warned_of(tmp_path: Path) -> None:
    rows = distinct_rows(1000)
    with pytest.warns(UserWarning, match="100 of the 100 validation rows and 100 of the 100 test rows of"):
        InteractionsDataModule(written(tmp_path, train=rows, validation=rows[800:900], test=rows[900:])).setup()


def test_rows_that_a_table_repeats_are_warned_of(tmp_path: Path) -> None:
    pd.concat([distinct_rows(1000)] * 3).to_csv(tmp_path / "log.csv", index=False)
    data = InteractionsDataModule(str(tmp_path))
    with pytest.warns(UserWarning, match="have the user and item of a training row: .* Leave out rows") as caught:
        data.setup()
    known = set(zip(*(column.tolist() for column in data.rows["train"][:2]), strict=True))
    (said,) = [str(each.message) for each in caught if "of a training row" in str(each.message)]
    for split in SPLITS[1:]:
        pairs = list(zip(*(column.tolist() for column in data.rows[split][:2]), strict=True))
        assert f"{sum(pair in known for pair in pairs)} of the {len(pairs)} {split} rows" in said


def test_other_labels_of_all_training_pairs_are_warned_of(tmp_path: Path) -> None:
    rows = distinct_rows(1000)
    later = rows.assign(label=np.random.default_rng(1).integers(0, 2, 1000))
    with pytest.warns(UserWarning, match="1,000 of the 1,000 validation rows and 500 of the 500 test rows of"):
        InteractionsDataModule(written(tmp_path, train=rows, validation=later, test=later[500:])).setup()


def test_few_repeated_rows_are_logged_and_unknown_ones_are_none(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    rows, new = distinct_rows(1000), pd.DataFrame({"uid": [0, 99, 99], "iid": [99, 0, 99], "label": [0, 1, 1]})
    test = pd.concat([rows[900:], rows[:2], new])
    with caplog.at_level(logging.INFO):
        InteractionsDataModule(written(tmp_path, train=rows[:800], validation=rows[800:900], test=test)).setup()
    assert "2 of the 105 test rows of" in caplog.text
    assert "100 validation rows of" not in caplog.text
    assert not [each for each in recwarn if "of a training row" in str(each.message)]
