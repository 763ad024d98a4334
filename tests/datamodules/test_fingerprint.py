"""The same rows have the same fingerprint, and other rows another, which says what differs."""

import hashlib
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn

from datamodules import (
    Batch,
    ImpressionBatch,
    ImpressionsDataModule,
    InteractionsDataModule,
    SessionsDataModule,
    SyntheticImpressions,
)
from datamodules.fingerprint import Fingerprint

ROOT = Path(__file__).resolve().parents[2]


def batch(rows: int = 20_000, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    user, item = (torch.randint(0, 50, (rows,), generator=generator) for _ in range(2))
    return Batch(user, item, torch.rand(rows, generator=generator).round())


def prints(train: Batch, users: Any = ("a", "b")) -> Fingerprint:
    return Fingerprint.of({"train": train, "test": batch(10, seed=1)}, {}, {"users": users})


BEFORE = prints(batch())


def test_the_same_rows_are_the_same() -> None:
    assert prints(batch()) == BEFORE
    assert BEFORE.differences(prints(batch())) == []
    assert Fingerprint.from_plain(BEFORE.plain()) == BEFORE


def test_what_is_a_view_of_other_memory_is_the_same() -> None:
    rows = batch()
    apart = Batch(*(torch.stack([column, column], dim=1)[:, 0] for column in rows))
    assert prints(apart) == BEFORE


@pytest.mark.slow
def test_another_process_finds_the_same(tmp_path: Path) -> None:
    program = (
        "import json, sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_fingerprint import prints, batch\n"
        "print(json.dumps(prints(batch()).plain()))"
    )
    command = [sys.executable, "-c", program, str(ROOT), str(Path(__file__).parent)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert Fingerprint.from_plain(__import__("json").loads(found.stdout)) == BEFORE


@pytest.mark.parametrize("place", [0, 8191, 8192, 19_999])
@pytest.mark.parametrize("column", Batch._fields)
def test_one_other_value_anywhere_is_another_column(column: str, place: int) -> None:
    rows = batch()
    other = getattr(rows, column).clone()
    other[place] = 1 - other[place]
    assert BEFORE.differences(prints(rows._replace(**{column: other}))) == [f"train: other values of {column}"]


def test_two_labels_that_change_places_are_other_values() -> None:
    rows = batch()
    first, second = int(rows.label.argmax()), int(rows.label.argmin())
    label = rows.label.clone()
    label[[first, second]] = label[[second, first]]
    assert BEFORE.differences(prints(rows._replace(label=label))) == ["train: other values of label"]


@pytest.mark.parametrize("order", [torch.arange(19_999, -1, -1), torch.arange(20_000).roll(8192)])
def test_another_order_is_told_as_that(order: torch.Tensor) -> None:
    assert BEFORE.differences(prints(Batch(*(each[order] for each in batch())))) == [
        "train: the rows are in another order"
    ]


def test_no_two_of_many_small_changes_are_alike() -> None:
    rows, found = batch(200), set()
    for place in range(200):
        for column in Batch._fields:
            other = getattr(rows, column).clone()
            other[place] += 1
            found.add(prints(rows._replace(**{column: other})).splits["train"].columns[column])
    assert len(found) == 600


def test_rows_that_are_gone_are_counted() -> None:
    assert BEFORE.differences(prints(batch(19_000))) == ["train: 19000 rows in place of 20000"]


def test_the_same_rows_divided_otherwise() -> None:
    whole = batch(30)
    parts = [
        {"train": Batch(*(each[:cut] for each in whole)), "test": Batch(*(each[cut:] for each in whole))}
        for cut in (20, 15)
    ]
    before, now = (Fingerprint.of(each, {}, {}) for each in parts)
    assert before.differences(now) == ["the same rows are divided otherwise among the splits"]


@pytest.mark.parametrize(
    ("users", "words"),
    [
        (["a", "c"], "other users (as many, 2)"),
        (["b", "a"], "other users (as many, 2)"),
        (["a", "b", "c"], "other users (3 in place of 2)"),
        (np.array([1, 2]), "other users (as many, 2)"),
    ],
)
def test_ids_belong_to_it_though_no_row_shows_them(users: Any, words: str) -> None:
    now = prints(batch(), users)
    assert BEFORE.differences(now) == BEFORE.renamed(now) == [words]


@pytest.mark.parametrize(
    "values",
    [
        ["a", "bcd", 1, -20, 3.5, True],
        ("ü", "\ud800", "a\0", "\0"),
        ["a", None, float("nan")],
        [1, 2],
        [0.5, float("nan")],
        [True, False],
        [None, 3],
        [2**63, -1],
        [],
        np.array(["a", "bc"]),
        pd.Index(["a", "b"]),
        pd.Index([3, 4]),
    ],
)
def test_checksum_of_values_is_that_of_their_array(values: Any) -> None:
    array = np.asarray(values)
    texts = "\0".join(map(str, array.tolist())).encode(errors="surrogatepass")
    content = array.tobytes() if array.dtype.kind in "iuf" else texts
    assert prints(batch(10), values).names["users"] == f"{len(values)}:{hashlib.sha256(content).hexdigest()[:16]}"


def test_one_long_text_makes_no_room_for_others() -> None:
    values = ["x" * 100_000, *map(str, range(10_000)), *range(10_001)]
    tracemalloc.start()
    try:
        prints(batch(10), values)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 * 2**20


@pytest.mark.parametrize(
    "plain", [None, [], {}, {"splits": {}, "names": []}, {"splits": {"train": 3}, "names": {}}, "text"]
)
def test_what_is_no_fingerprint_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError, match="no fingerprint of data"):
        Fingerprint.from_plain(plain)


def impressions(**options: Any) -> SyntheticImpressions:
    return SyntheticImpressions(num_sessions=60, session_length=4, **options)


def test_impressions_name_fields_features_and_tasks() -> None:
    data = impressions()
    before = data.fingerprint()
    train = data.rows["train"]
    assert isinstance(train, ImpressionBatch)
    for name, other in {"categorical": train.categorical + 1, "label": 1 - train.label}.items():
        data.rows = {**data.rows, "train": train._replace(**{name: other})}
        (words,) = before.differences(data.fingerprint())
        columns = data.column_names()[name]
        assert words == "train: other values of " + ", ".join(f"{name} {column}" for column in columns)


def test_a_split_of_its_own_is_fingerprinted_anew_and_leaves_the_other() -> None:
    data = impressions()
    before = data.fingerprint()
    held_out = data.hold_out(0.25, seed=0)
    assert held_out.fingerprint() != before
    assert held_out.fingerprint() == impressions().hold_out(0.25, seed=0).fingerprint()
    assert data.fingerprint() == before


def test_sessions_are_known_as_their_impressions() -> None:
    assert SessionsDataModule(impressions()).fingerprint() == impressions().fingerprint()


def written(path: Path, visit: Any, shop: Any = ("a", "b")) -> ImpressionsDataModule:
    """Write twenty rows of visits, sixteen of them for training."""
    rows = pd.DataFrame({"shop": np.resize(shop, 20), "visit": visit, "click": np.arange(20) // 2 % 2})
    rows.to_csv(path, index=False)
    return ImpressionsDataModule(
        str(path), categorical_columns=["shop"], tasks=["click"], session_column="visit", user_column="visit", seed=0
    )


def test_a_model_is_used_on_other_sessions_but_not_gone_on_with(tmp_path: Path) -> None:
    state = written(tmp_path / "first.csv", np.arange(20) // 2).state_dict()
    later = written(tmp_path / "later.csv", np.arange(100, 120))
    later.load_state_dict(state)
    later.session_column = later.user_column = None
    later.rows = {}
    later.load_state_dict(state)
    later = written(tmp_path / "later.csv", np.arange(100, 120))
    later.trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING))  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"other sessions \(20 in place of 10\)"):
        later.load_state_dict(state)
    other = written(tmp_path / "other.csv", np.arange(20) // 2, ("a", "c"))
    with pytest.raises(ValueError, match="other categories of shop"):
        other.load_state_dict(state)


def test_a_user_renamed_in_a_table(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lines = [
        f"u{user},{item},{label}"
        for user, item, label in zip(*(generator.integers(0, high, 300) for high in (9, 7, 2)), strict=True)
    ]
    found = []
    for name in ("u3", "u33"):
        text = "\n".join(["uid,iid,label", *lines]).replace("u3,", f"{name},")
        (tmp_path / "shop.csv").write_text(text + "\n")
        found.append(InteractionsDataModule(str(tmp_path / "shop.csv")).fingerprint())
    assert found[0].differences(found[1]) == ["other users (as many, 9)"]
