"""Tables of ids turned into tensors of indices, with a word on what training does not know."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from datamodules.batches import Batch, ImpressionBatch
from datamodules.tables.splits import Splits
from datamodules.tables.vocabulary import Vocabulary, count_unknown
from lightning_modules.utilities.progress import working

_HELD_OUT = ("validation", "test")

LabelledRows = TypeVar("LabelledRows", Batch, ImpressionBatch)


class EncodedInteractions(NamedTuple):
    """Vocabularies of the training rows, and the rows of every split under them.

    Attributes:
        users: Vocabulary of the users.
        items: Vocabulary of the items.
        rows: Rows for each of "train", "validation" and "test".
    """

    users: Vocabulary
    items: Vocabulary
    rows: dict[str, Batch]


def encode(splits: Splits, source: object) -> EncodedInteractions:
    """Fit the vocabularies on the training table and encode all three.

    Unknown ids are reported in the log; a held-out split that knows no user or no item, or whose AUC is undefined, in a
    warning.

    Args:
        splits: The tables.
        source: What to call the data set in messages.

    Raises:
        ValueError: If a table has no rows.
    """
    refuse_empty_splits({name: len(table) for name, table in splits._asdict().items()}, source)
    with working("numbering users and items"):
        users, items = Vocabulary.fit(splits.train["user"]), Vocabulary.fit(splits.train["item"])
        rows = {name: _encode_table(table, users, items) for name, table in splits._asdict().items()}
    _report_unknown(rows, source)
    for name in _HELD_OUT:
        warn_of_single_label(name, rows[name], source)
    return EncodedInteractions(users, items, rows)


def refuse_empty_splits(sizes: Mapping[str, int], source: object) -> None:
    """Check that every split has rows.

    Raises:
        ValueError: If one has none.
    """
    for name, size in sizes.items():
        if size == 0:
            raise ValueError(f"the {name} split of {source} has no rows; give more rows, or another split or ratios")


def hold_out(rows: LabelledRows, share: float, seed: int) -> tuple[LabelledRows, LabelledRows]:
    """Return the rows [n] without a random share of them, and that share, both in the order of the rows.

    Raises:
        ValueError: If one side would be empty, or all rows or the held-out ones have one label only (in any of several
            tasks).
    """
    total, size = len(rows.label), round(share * len(rows.label))
    if not 0 < size < total:
        raise ValueError(f"holding out {share} of {total} training rows leaves one side empty; choose another share")
    _refuse_single_label(rows.label, f"all {total} training rows", "add rows with the other label")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    held_out, kept = (_take(rows, part) for part in order.split([size, total - size]))
    _refuse_single_label(held_out.label, f"the {size} held-out rows all", "hold out a larger share")
    return kept, held_out


def warn_of_single_label(split: str, rows: Batch, source: object) -> None:
    """Warn if all rows of a split have the same label."""
    if (rows.label == rows.label[0]).all():
        learning = (
            "nothing can be learned from them. Add rows with the other label, or take a model that draws its "
            "negatives, such as RankNet"
        )
        consequence = learning if split == "train" else "AUC is undefined there and reported as nan"
        rank_zero_warn(f"all {split} rows of {source} have label {rows.label[0]:.0f}: {consequence}")


def warn_of_unknown(split: str, unknown: Mapping[str, int], size: int, source: object) -> None:
    """Warn of columns in which training knows no row of a held-out split.

    Args:
        split: The held-out split.
        unknown: For every column how many of the rows training does not know.
        size: The number of rows.
        source: What to call the data set in messages.
    """
    for name, count in unknown.items():
        if count == size:
            rank_zero_warn(
                f"training knows no {name} of the {size} {split} rows of {source}: the figures are those of unknown "
                "ones. Look whether the tables write their ids in different ways, or split the rows otherwise"
            )


def _refuse_single_label(label: Tensor, rows: str, remedy: str) -> None:
    labels = label.reshape(len(label), -1)
    constant = (labels == labels[0]).all(dim=0)
    if constant.any():
        one = f"{labels[0, constant][0]:.0f}" + (" in one task" if len(constant) > 1 else "")
        raise ValueError(f"{rows} have label {one}, so that no AUC can be measured on them; {remedy}")


def _take(rows: LabelledRows, places: Tensor) -> LabelledRows:
    ordered, _ = places.sort()
    return type(rows)(*(column[ordered] for column in rows))


def _encode_table(table: pd.DataFrame, users: Vocabulary, items: Vocabulary) -> Batch:
    label = torch.from_numpy(table["label"].to_numpy(dtype="float32", copy=True))
    return Batch(users.encode(table["user"]), items.encode(table["item"]), label)


def _report_unknown(rows: Mapping[str, Batch], source: object) -> None:
    unknown = {
        name: {"user": count_unknown(rows[name].user), "item": count_unknown(rows[name].item)} for name in _HELD_OUT
    }
    said = [
        f"{counts['user']} users and {counts['item']} items of the {len(rows[name].label)} {name} rows"
        for name, counts in unknown.items()
        if any(counts.values())
    ]
    if said:
        rank_zero_info(f"Users and items without training rows have the index 0: {'; '.join(said)}")
    for name, counts in unknown.items():
        warn_of_unknown(name, counts, len(rows[name].label), source)
