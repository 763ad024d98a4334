"""Held-out rows that have the user and the item of a training row: counted, and warned of."""

from collections.abc import Mapping

from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from datamodules.batches import Batch
from datamodules.implicit.user_items import UserItems

_HELD_OUT = ("validation", "test")
# Up to this share they hardly move a figure.
_NEGLIGIBLE = 0.05


def report_repeated(rows: Mapping[str, Batch], num_users: int, num_items: int, source: object) -> None:
    """Say how many held-out rows have the user and item of a training row; above 5 % of a split in a warning.

    Args:
        rows: Rows of "train", "validation" and "test".
        num_users: Number of users, that of unknown users included.
        num_items: Number of items, that of unknown items included.
        source: What to call the data set in messages.
    """
    train = rows["train"]
    known = UserItems.of(train.user, train.item, num_users, num_items)
    count = {name: _count_known(rows[name], known) for name in _HELD_OUT}
    _say(count, {name: len(rows[name].user) for name in _HELD_OUT}, source)


def _count_known(rows: Batch, known: UserItems) -> int:
    # In order they are found several times as fast among ten million.
    key = (rows.user * known.num_items + rows.item).sort().values
    return int(known.contains(key // known.num_items, key % known.num_items).sum())


def _say(count: Mapping[str, int], size: Mapping[str, int], source: object) -> None:
    said = [f"{number:,} of the {size[name]:,} {name} rows" for name, number in count.items() if number]
    if not said:
        return
    what = f"{' and '.join(said)} of {source} have the user and item of a training row"
    if max(count[name] / size[name] for name in count) <= _NEGLIGIBLE:
        rank_zero_info(what)
    else:
        rank_zero_warn(
            f"{what}: figures also measure what was learned of these by heart. Leave out rows that the table repeats; "
            "where users do meet items again, hold out the latest rows (time_column)"
        )
