import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from datamodules import CatalogueLoader, ImplicitFeedback, InBatchNegatives, PopularityNegatives, UniformNegatives
from datamodules.implicit.negatives import Negatives

SHARED = Path(__file__).parents[4] / "shared" / "data"

TRAIN = "0 0 1 2 3\n1 2 3 4\n2 0 1 4 5 6\n"
TEST = "0 4 5\n1 0\n2 2\n"


def write_lists(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in ({"train": TRAIN, "test": TEST} | files).items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def write_table(path: Path, size: int = 300) -> Path:
    generator = np.random.default_rng(0)
    cells = generator.choice(20 * 30, size, replace=False)
    table = pd.DataFrame({"who": cells // 30, "what": cells % 30, "stars": generator.integers(1, 6, size)})
    table.assign(when=generator.permutation(size)).to_csv(path, index=False)
    return path


def ids_of(data: ImplicitFeedback, split: str) -> set[tuple[object, object]]:
    data.setup()
    user, item = data.rows[split]
    return set(zip(data.user_ids[user.numpy()].tolist(), data.item_ids[item.numpy()].tolist(), strict=True))


def pairs_in(text: str) -> set[tuple[int, int]]:
    lines = [[int(word) for word in line.split()] for line in text.splitlines()]
    return {(user, item) for user, *items in lines for item in items}


def relevant_of(data: ImplicitFeedback, loader: CatalogueLoader, part: str = "relevant") -> set[tuple[int, int]]:
    return {
        (int(data.user_ids[block.user[row]]), int(data.item_ids[item]))
        for block in loader
        for row, item in getattr(block, part).T.tolist()
    }


def test_item_lists_are_read_with_a_drawn_validation(tmp_path: Path) -> None:
    data = ImplicitFeedback(str(write_lists(tmp_path / "d")))
    assert (data.num_users, data.num_items) == (3, 7)
    train, validation = ids_of(data, "train"), ids_of(data, "validation")
    assert train | validation == pairs_in(TRAIN)
    assert sorted(user for user, _ in validation) == [0, 1, 2]
    assert not train & validation
    assert ids_of(data, "test") == pairs_in(TEST)


def test_given_validation_rows_are_taken(tmp_path: Path) -> None:
    data = ImplicitFeedback(str(write_lists(tmp_path / "d", valid="0 6\n2 3\n")))
    assert ids_of(data, "train") == pairs_in(TRAIN)
    assert ids_of(data, "validation") == {(0, 6), (2, 3)}


def test_the_seed_of_the_split_draws_another_validation(tmp_path: Path) -> None:
    root = str(write_lists(tmp_path / "d", train="0 " + " ".join(map(str, range(10, 90))), test="0 1\n"))
    first, same, other = (
        ImplicitFeedback(root, split_seed=split, seed=seed) for split, seed in ((1, 1), (1, 2), (2, 1))
    )
    assert ids_of(first, "validation") == ids_of(same, "validation") != ids_of(other, "validation")
    assert len(ids_of(first, "validation")) == 8


@pytest.mark.parametrize("ending", ["tsv", "csv", "parquet", "tsv.gz"])
def test_tables_of_pairs_are_read_by_their_first_columns(ending: str, tmp_path: Path) -> None:
    for name, text in (("train", TRAIN), ("test", TEST)):
        table = pd.DataFrame(sorted(pairs_in(text)), columns=["user_procid", "item_procid"])
        path = tmp_path / f"{name}.{ending}"
        table.to_parquet(path) if ending == "parquet" else table.to_csv(
            path, index=False, sep="\t" if "t" in ending else ","
        )
    data = ImplicitFeedback(str(tmp_path))
    assert ids_of(data, "train") | ids_of(data, "validation") == pairs_in(TRAIN)
    assert ids_of(data, "test") == pairs_in(TEST)


def test_users_and_items_are_numbered_by_their_ids_over_all_splits(tmp_path: Path) -> None:
    data = ImplicitFeedback(str(write_lists(tmp_path / "d", train="10 3 20\n9 3 1\n", test="9 100\n")))
    data.setup()
    assert [list(data.user_ids), list(data.item_ids)] == [[9, 10], [1, 3, 20, 100]]
    words = ImplicitFeedback(str(write_lists(tmp_path / "e", train="b 3 20\n9 3 x\n", test="b y\n")))
    words.setup()
    assert [list(words.user_ids), list(words.item_ids)] == [["9", "b"], ["20", "3", "x", "y"]]


def test_a_table_is_split_by_ratios_of_each_user(tmp_path: Path) -> None:
    path = write_table(tmp_path / "shop.csv")
    data = ImplicitFeedback(str(path), user_column="who", item_column="what")
    parts = [ids_of(data, split) for split in ("train", "validation", "test")]
    table = pd.read_csv(path)
    assert set.union(*parts) == set(zip(table.who, table.what, strict=True))
    assert sum(map(len, parts)) == 300
    for user, count in table.who.value_counts().items():
        sizes = [sum(each == user for each, _ in part) for part in parts]
        assert sizes == np.diff([0, round(0.8 * count), round(0.9 * count), count]).tolist()


def test_ratings_above_the_threshold_count_and_time_orders_them(tmp_path: Path) -> None:
    path = write_table(tmp_path / "shop.csv")
    options = {"user_column": "who", "item_column": "what", "rating_column": "stars", "time_column": "when"}
    data = ImplicitFeedback(str(path), **options, rating_threshold=2, split="time")  # type: ignore[arg-type]
    table = pd.read_csv(path).query("stars > 2").sort_values("when")
    pairs = list(zip(table.who, table.what, strict=True))
    cuts = [0, round(0.8 * len(pairs)), round(0.9 * len(pairs)), len(pairs)]
    for split, begin, end in zip(("train", "validation", "test"), cuts[:-1], cuts[1:], strict=True):
        assert ids_of(data, split) == set(pairs[begin:end])


def test_each_users_last_row_is_left_out(tmp_path: Path) -> None:
    path = write_table(tmp_path / "shop.csv")
    options = {"user_column": "who", "item_column": "what", "time_column": "when"}
    data = ImplicitFeedback(str(path), **options, split="leave_one_out")  # type: ignore[arg-type]
    table = pd.read_csv(path).sort_values("when")
    last = table.groupby("who").tail(1)
    assert ids_of(data, "test") == set(zip(last.who, last.what, strict=True))
    before = table.drop(last.index).groupby("who").tail(1)
    assert ids_of(data, "validation") == set(zip(before.who, before.what, strict=True))


def test_columns_without_names_are_named_by_header(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("\n".join(f"{row % 4}\t{row}\t{row % 5 + 1}\t0" for row in range(80)))
    with pytest.raises(ValueError, match=r"u.data, line 1 holds numbers alone, .* Name the columns with header"):
        ImplicitFeedback(str(tmp_path / "u.data")).setup()
    data = ImplicitFeedback(str(tmp_path / "u.data"), header=["user", "item", "rating", "time"], rating_column="rating")
    data.setup()
    assert sum(len(rows.user) for rows in data.rows.values()) == sum(row % 5 + 1 > 3 for row in range(80))


def test_the_mask_is_that_of_training_or_of_validation_too_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = str(write_lists(tmp_path / "d", valid="0 6\n2 3\n"))
    caplog.set_level(logging.INFO)
    for mask, expected in (("training", pairs_in(TRAIN)), ("all", pairs_in(TRAIN) | {(0, 6), (2, 3)})):
        data = ImplicitFeedback(root, mask=mask)  # type: ignore[arg-type]
        data.setup()
        assert relevant_of(data, data.test_dataloader(), "seen") == expected
        assert f"(mask: {mask})" in caplog.text
        assert relevant_of(data, data.test_dataloader()) == pairs_in(TEST)
        assert relevant_of(data, data.val_dataloader()) == {(0, 6), (2, 3)}
        in_validation = {pair for pair in pairs_in(TRAIN) if pair[0] != 1}
        assert relevant_of(data, data.val_dataloader(), "seen") == in_validation
        assert [user for block in data.predict_dataloader() for user in block.user.tolist()] == [0, 1, 2]


def test_training_batches_get_negatives_of_their_seed_on_their_device(tmp_path: Path) -> None:
    data = ImplicitFeedback(str(write_lists(tmp_path / "d")), negatives=UniformNegatives(5), seed=3, batch_size=4)
    data.setup()
    items = data.items_of_training()
    batches = list(data.train_dataloader())
    assert sum(len(batch.user) for batch in batches) == len(items.user)
    for batch in batches:
        first, second = (data.on_after_batch_transfer(batch, 0) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert items.contains(first.user, first.item).all()
        row, _, other = first.replaced
        assert not items.contains(first.user[row], first.negative[other]).any()
    block = next(iter(data.val_dataloader()))
    assert data.on_after_batch_transfer(block, 0) is block


def test_users_with_all_items_are_not_trained_on(tmp_path: Path) -> None:
    root = str(write_lists(tmp_path / "d", train="0 0 1 2 3\n1 2 3\n", valid="1 0\n", test="1 1\n"))
    data = ImplicitFeedback(root)
    data.setup()
    assert {user for batch in data.train_dataloader() for user in batch.user.tolist()} == {1}
    full = ImplicitFeedback(str(write_lists(tmp_path / "e", train="0 0 1\n1 0 1\n", valid="2 0\n", test="2 1\n")))
    full.setup()
    with pytest.raises(ValueError, match="has all items that negatives are drawn from, of 2"):
        full.train_dataloader()


@pytest.mark.parametrize("negatives", [PopularityNegatives(4, shared=False, log_q=True), InBatchNegatives()])
def test_users_with_all_items_of_training_are_not_trained_on_where_others_are_never_drawn(
    negatives: Negatives, tmp_path: Path
) -> None:
    root = str(write_lists(tmp_path / "d", train="0 0 1 2\n1 1 2\n", valid="1 3\n", test="0 4\n1 5\n"))
    data = ImplicitFeedback(root, negatives=negatives)
    data.setup()
    batches = [data.with_negatives(batch) for batch in data.train_dataloader()]
    assert {user for batch in batches for user in batch.user.tolist()} == {1}
    assert {item for batch in batches for item in batch.negative.flatten().tolist()} <= {0, 1, 2}
    assert all(batch.log_q.isfinite().all() for batch in batches)


def test_held_out_rows_are_some_of_every_users_training_rows(tmp_path: Path) -> None:
    data = ImplicitFeedback(str(write_lists(tmp_path / "d", valid="0 6\n2 3\n")))
    data.setup()
    copy = data.hold_out(0.4, seed=1)
    assert ids_of(copy, "train") | ids_of(copy, "validation") == pairs_in(TRAIN)
    assert sorted(user for user, _ in ids_of(copy, "validation")) == [0, 1, 2, 2]
    assert ids_of(copy, "test") == pairs_in(TEST)
    assert ids_of(data, "validation") == {(0, 6), (2, 3)}
    assert len(copy.items_of_training().user) == 8
    assert copy.fingerprint() != data.fingerprint()


def test_the_fingerprint_is_that_of_the_rows(tmp_path: Path) -> None:
    root = str(write_lists(tmp_path / "d"))
    before = ImplicitFeedback(root).fingerprint()
    assert ImplicitFeedback(root, seed=5, negatives=UniformNegatives(7)).fingerprint() == before
    assert ImplicitFeedback(root, split_seed=1).fingerprint() != before
    write_lists(tmp_path / "d", test="0 4 5\n1 0\n2 3\n")
    assert ImplicitFeedback(root).fingerprint() != before


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("amazon-health", (1974, 1200, 37784, 10405)),
        ("amazon-electronic", (13455, 8360, 182398, 52123)),
        ("gowalla", (29858, 40988, 810128, 217336)),
    ],
)
def test_published_splits_have_the_published_sizes(name: str, sizes: tuple[int, ...]) -> None:
    root = SHARED / name
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    data = ImplicitFeedback(str(root))
    data.setup()
    train, validation, test = data.rows.values()
    assert (data.num_users, data.num_items, len(train.user) + len(validation.user), len(test.user)) == sizes
    count = torch.bincount(train.user) + torch.bincount(validation.user)
    assert torch.bincount(validation.user).tolist() == [max(int(0.1 * each), 1) for each in count.tolist()]
