"""Tables of ids turned into tensors of indices, with a word on what training does not know."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from datamodules.batches import Batch, ImpressionBatch
from datamodules.splits import Splits
from datamodules.vocabulary import Vocabulary, count_unknown
from lightning_modules.progress import working

_HELD_OUT = ("validation", "test")

LabelledRows = TypeVar("LabelledRows", Batch, ImpressionBatch)


class Encoding(NamedTuple):
    """Vocabularies of the training rows, and the rows of every split under them.

    Attributes:
        users: Vocabulary of the users.
        items: Vocabulary of the items.
        rows: Rows for each of "train", "validation" and "test".
    """

    users: Vocabulary
    items: Vocabulary
    rows: dict[str, Batch]


def encode(splits: Splits, source: object) -> Encoding:
    """Fit the vocabularies on the training table and encode all three.

    Unknown ids are reported in the log, and a held-out split whose AUC is undefined in a warning.

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
    _report_unknown(rows)
    _warn_of_single_labels(rows, source)
    return Encoding(users, items, rows)


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
        ValueError: If one side would be empty, or the held-out rows have one label only (in any of several tasks).
    """
    total, size = len(rows.label), round(share * len(rows.label))
    if not 0 < size < total:
        raise ValueError(f"holding out {share} of {total} training rows leaves one side empty; choose another share")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    held_out, kept = (_take(rows, part) for part in order.split([size, total - size]))
    labels = held_out.label.reshape(size, -1)
    constant = (labels == labels[0]).all(dim=0)
    if constant.any():
        one = f"{labels[0, constant][0]:.0f}" + (" in one task" if len(constant) > 1 else "")
        raise ValueError(f"the {size} held-out rows all have label {one}; hold out a larger share")
    return kept, held_out


def _take(rows: LabelledRows, places: Tensor) -> LabelledRows:
    ordered, _ = places.sort()
    return type(rows)(*(column[ordered] for column in rows))


def _encode_table(table: pd.DataFrame, users: Vocabulary, items: Vocabulary) -> Batch:
    label = torch.from_numpy(table["label"].to_numpy(dtype="float32", copy=True))
    return Batch(users.encode(table["user"]), items.encode(table["item"]), label)


def _report_unknown(rows: Mapping[str, Batch]) -> None:
    unknown = "; ".join(_unknown(rows))
    if unknown:
        rank_zero_info(f"Users and items without training rows have the index 0: {unknown}")


def _unknown(rows: Mapping[str, Batch]) -> Iterator[str]:
    for name in _HELD_OUT:
        users, items = count_unknown(rows[name].user), count_unknown(rows[name].item)
        if users or items:
            yield f"{users} users and {items} items of the {len(rows[name].label)} {name} rows"


def _warn_of_single_labels(rows: Mapping[str, Batch], source: object) -> None:
    for name in _HELD_OUT:
        labels = rows[name].label.unique()
        if len(labels) < 2:
            rank_zero_warn(
                f"all {name} rows of {source} have label {labels[0]:.0f}: AUC is undefined there and reported as nan"
            )
