"""Splits of one table of interactions into training, validation and test rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

#: Shares of training, validation and test rows where none are given.
RATIOS = (0.8, 0.1, 0.1)


class Splits(NamedTuple):
    """Tables with the columns ``user``, ``item`` and ``label`` (0 or 1), one for each use."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


# One to learn from, one to validate on, one to test on.
_FEWEST_POSITIVES = 3


def positive_leave_one_out(frame: pd.DataFrame, min_interactions: int = 5) -> Splits:
    """Hold out every user's last positive row for test and the one before it for validation, with what follows each.

    A user's rows are ordered by ``time``, or as they stand in the table if there is none; rows of the same time keep
    the table's order. Test gets the last positive row and all rows behind it, validation the positive row before and
    the rows between the two: no training row of a user is later than a held-out one. Users with fewer than
    ``min_interactions`` rows or fewer than three positives are left in training whole.

    The rule is the one of the splits published with AutoLossGen (Li et al., SIGIR 2022,
    https://arxiv.org/abs/2204.13160): in its held-out ML-100K files every user's part begins with its only positive
    row. Half of ML-100K's ratings have the time of the user's rating before, and the published order among those is
    arbitrary: hence 94,626 / 2,363 / 3,011 rows here and 94,638 / 2,334 / 3,028 there, each with 942 held-out users.

    Args:
        frame: Columns ``user``, ``item``, ``label`` and, optionally, ``time``.
        min_interactions: Fewest rows of a user who is held out from.
    """
    frame = _by_time(frame)
    rows_of_user = frame.groupby("user", sort=False, observed=True).label
    seen = rows_of_user.cumsum()
    positives = rows_of_user.transform("sum")
    held_out = (rows_of_user.transform("size") >= min_interactions) & (positives >= _FEWEST_POSITIVES)
    positives_behind = (positives - seen).where(held_out, 2)
    return Splits(*(frame[part] for part in (positives_behind >= 2, positives_behind == 1, positives_behind == 0)))


def by_ratio(frame: pd.DataFrame, ratios: Sequence[float] = RATIOS, *, seed: int = 0) -> Splits:
    """Divide the rows by time: the earliest for training, the latest for test.

    Rows of the same time keep the table's order. Without a ``time`` column the rows are divided at random.

    Args:
        frame: Columns ``user``, ``item``, ``label`` and, optionally, ``time``.
        ratios: Shares of training, validation and test rows.
        seed: Seed of the division where there is no time.

    Raises:
        ValueError: If the ratios are not three positive numbers that add up to 1.
    """
    cuts = ratio_cuts(ratios, len(frame))
    if "time" in frame:
        frame, order = _by_time(frame), np.arange(len(frame))
    else:
        order = np.random.default_rng(seed).permutation(len(frame))
    return Splits(*(frame.iloc[np.sort(part)] for part in np.split(order, cuts)))


def ratio_cuts(ratios: Sequence[float], size: int) -> np.ndarray:
    """Return where validation and test begin, int [2], if the ordered rows are divided by shares.

    Raises:
        ValueError: If the ratios are not three positive numbers that add up to 1.
    """
    if len(ratios) != len(Splits._fields) or min(ratios) <= 0 or not np.isclose(sum(ratios), 1):
        raise ValueError(f"ratios must be three positive numbers that add up to 1, such as 0.8, 0.1, 0.1; got {ratios}")
    bounds: np.ndarray = np.rint(np.cumsum(ratios)[:2] * size).astype(int)
    return bounds


def refuse_without_effect(given: Mapping[str, bool], because: str) -> None:
    """Refuse options of a split that would be accepted and change nothing.

    Args:
        given: Whether each option, by its name, is set.
        because: What divides the rows instead.

    Raises:
        ValueError: If one is set.
    """
    idle = [name for name, is_given in given.items() if is_given]
    if idle:
        raise ValueError(f"{' and '.join(idle)} would have no effect, since {because}; leave out the one or the other")


def refuse_empty_splits(sizes: Mapping[str, int], source: object) -> None:
    """Check that every split has rows.

    Raises:
        ValueError: If one has none.
    """
    for name, size in sizes.items():
        if size == 0:
            raise ValueError(f"the {name} split of {source} has no rows; give more rows, or another split or ratios")


def _by_time(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("time", kind="stable") if "time" in frame else frame
