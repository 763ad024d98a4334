"""Tables of ids encoded as tensors of indices, with warnings of ids without training rows."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from datamodules.batches import Batch
from datamodules.interactions.repeated import report_repeated
from datamodules.tables.splits import Splits, refuse_empty_splits
from datamodules.tables.vocabulary import Vocabulary, count_unknown, refuse_missing, warn_of_unknown
from lightning_modules.utilities.progress import working

_HELD_OUT = ("validation", "test")


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

    Unknown ids, and held-out pairs of user and item that are training pairs, are reported in the log; a held-out split
    that knows no user or no item, of which much is in training, or whose AUC is undefined, in a warning.

    Args:
        splits: The tables.
        source: What to call the data set in messages.

    Raises:
        ValueError: If a table has no rows or lacks an id or a label.
    """
    tables = splits._asdict()
    refuse_empty_splits({name: len(table) for name, table in tables.items()}, source)
    refuse_missing(tables, ("user", "item", "label"), source)
    with working("numbering users and items"):
        users, items = Vocabulary.fit(splits.train["user"]), Vocabulary.fit(splits.train["item"])
        rows = {name: _encode_table(table, users, items) for name, table in tables.items()}
        report_repeated(rows, len(users), len(items), source)
    _report_unknown(rows, source)
    for name in _HELD_OUT:
        warn_of_single_label(name, rows[name], source)
    return EncodedInteractions(users, items, rows)


def warn_of_single_label(split: str, rows: Batch, source: object) -> None:
    """Warn if all rows of a split have the same label."""
    if (rows.label == rows.label[0]).all():
        learning = (
            "nothing can be learned from them. Add rows with the other label, or take a model that draws its "
            "negatives, such as RankNet"
        )
        consequence = learning if split == "train" else "AUC is undefined there and reported as nan"
        rank_zero_warn(f"all {split} rows of {source} have label {rows.label[0]:.0f}: {consequence}")


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
