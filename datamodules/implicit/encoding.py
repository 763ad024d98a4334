"""Tables of implicit feedback as indices, each pair once, and what is said of pairs that cannot serve."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from datamodules.batches import FeedbackRows
from datamodules.tables.vocabulary import Vocabulary, refuse_missing
from lightning_modules.utilities.progress import working

#: What happens to a held-out pair of user and item that an earlier split has, too.
Repeated: TypeAlias = Literal["refuse", "remove", "count"]

_HELD_OUT = ("validation", "test")
_NAMES = {"train": "training", "validation": "validation"}


class EncodedFeedback(NamedTuple):
    """The ids of users and items, and the rows of every split.

    Attributes:
        users: Ids of the users in the order of their indices, integers or texts, [num_users].
        items: Ids of the items, like ``users``.
        rows: Rows of every split, each pair once, in the order of the table.
    """

    users: np.ndarray
    items: np.ndarray
    rows: dict[str, FeedbackRows]


def encode(tables: Mapping[str, pd.DataFrame], source: object) -> EncodedFeedback:
    """Number all users and items of some tables, sorted by their ids, and drop what is there twice.

    Args:
        tables: Columns ``user`` and ``item`` of each split.
        source: What to call the data set in messages.

    Raises:
        ValueError: If an id is missing.
    """
    refuse_missing(tables, ("user", "item"), source)
    with working("numbering users and items"):
        users, items = (_vocabulary([table[name] for table in tables.values()]) for name in ("user", "item"))
        rows = {}
        for split, table in tables.items():
            user, item = users.encode(table["user"]) - 1, items.encode(table["item"]) - 1
            rows[split] = _distinct(user, item, len(items.ids), f"the {split} rows of {source}")
    return EncodedFeedback(users.ids.to_numpy(), items.ids.to_numpy(), rows)


def without_repeated(
    rows: Mapping[str, FeedbackRows], repeated: Repeated, source: object, *, masks_validation: bool
) -> dict[str, FeedbackRows]:
    """Settle what happens to held-out pairs that an earlier split has.

    Args:
        rows: Rows of "train", "validation" and "test".
        repeated: "refuse" them, "remove" them from the later split, or "count" them, which leaves them where they are.
        source: What to call the data set in messages.
        masks_validation: Whether the test masks the items of validation, as it does those of training.

    Raises:
        ValueError: If there are any and they are refused, or nothing is left of a split.
    """
    num_items = 1 + max(int(each.item.max()) for each in rows.values())
    key = {split: each.user * num_items + each.item for split, each in rows.items()}
    result: dict[str, FeedbackRows] = {}
    for split, each in rows.items():
        is_known = torch.zeros(len(key[split]), dtype=torch.bool)
        for earlier in result:
            is_among = torch.isin(key[split], key[earlier]) & ~is_known
            is_masked = earlier == "train" or masks_validation
            _settle(is_among, (split, earlier), repeated, source, is_masked=is_masked)
            is_known |= is_among
        kept = ~is_known if repeated == "remove" else torch.ones_like(is_known)
        if not kept.any():
            raise ValueError(
                f"all {len(kept):,} {split} rows of {source} are rows of an earlier split, too, so that none is left "
                "without them; give other rows"
            )
        result[split] = FeedbackRows(each.user[kept], each.item[kept])
    return result


def say_unknown(rows: Mapping[str, FeedbackRows], source: object) -> None:
    """Say how many users and items of the held-out rows have no training rows."""
    for split in _HELD_OUT:
        unknown = {
            name: int((~torch.isin(held_out.unique(), known)).sum())
            for name, held_out, known in zip(("users", "items"), rows[split], rows["train"], strict=True)
        }
        if any(unknown.values()):
            said = " and ".join(f"{count:,} {name}" for name, count in unknown.items() if count)
            rank_zero_info(
                f"{said} of the {len(rows[split].user):,} {split} rows of {source} have no training rows: what is "
                "recommended there is not learned"
            )
        for name, held_out in zip(("users", "items"), rows[split], strict=True):
            if unknown[name] == len(held_out.unique()):
                rank_zero_warn(
                    f"training knows none of the {name} of the {split} rows of {source}. Look whether the tables write "
                    "their ids in different ways, or split the rows otherwise"
                )


def _vocabulary(columns: list[pd.Series]) -> Vocabulary:
    distinct = [pd.Index(column.unique()) for column in columns]
    return Vocabulary(pd.Index(np.concatenate([each.to_numpy() for each in distinct])).unique().sort_values())


def _distinct(user: Tensor, item: Tensor, num_items: int, what: str) -> FeedbackRows:
    _, first = np.unique((user * num_items + item).numpy(), return_index=True)
    if len(first) < len(user):
        twice = len(user) - len(first)
        rank_zero_info(f"{twice:,} of {what} repeat a pair of user and item and are left out")
    places = torch.from_numpy(np.sort(first))
    return FeedbackRows(user[places], item[places])


def _settle(is_among: Tensor, splits: tuple[str, str], repeated: Repeated, source: object, *, is_masked: bool) -> None:
    count = int(is_among.sum())
    if not count:
        return
    split, earlier = splits
    what = f"{count:,} of the {len(is_among):,} {split} rows of {source} are {_NAMES[earlier]} rows, too"
    # The items of validation are masked in the test only if that is asked for.
    masked = f"items of {_NAMES[earlier]} are not recommended, so that they could only be missed"
    reason = masked if is_masked else "the best epoch is chosen by these, so that their figures are too good"
    kept = "as misses" if is_masked else "as they are"
    if repeated == "refuse":
        raise ValueError(
            f"{what}: {reason}. Correct the split, or set repeated to remove to leave them out, or to count to keep "
            f"them {kept}"
        )
    counted = "count as misses" if is_masked else "stay there, though the best epoch is chosen by them"
    rank_zero_warn(f"{what}, and {'are left out there' if repeated == 'remove' else counted}")
