"""Sessions and users that the rows of a table belong to, by number."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pytorch_lightning.utilities import rank_zero_info

from datamodules.tables.categories import codes_of
from datamodules.tables.ids import exact_integers


@dataclass(frozen=True, slots=True)
class Groups:
    """Sessions, or users, of the rows of a table.

    Attributes:
        numbers: Number of every row's group, integers [n]; negative where it is missing.
        ids: Original ids by the groups' numbers; several sessions may have one id, each with a user of its own.
    """

    numbers: np.ndarray
    ids: pd.Index


def groups_of(column: pd.Series) -> Groups:
    """Return one group for every id of a column of categories."""
    return Groups(codes_of(column), original_ids(column.cat.categories))


def sessions_of_users(sessions: Groups, users: Groups, source: object) -> Groups:
    """Return sessions of one user each: an id that several users share is a session for each of them.

    Where no id is shared the sessions stay as they are.

    Args:
        sessions: Sessions of n rows.
        users: Users of the same rows.
        source: What to call the data set in the message.
    """
    shared = _count_shared(sessions, users)
    if not shared:
        return sessions
    number = sessions.numbers.astype(np.int64) * (len(users.ids) + 1) + users.numbers + 1
    pairs, distinct = pd.factorize(number)
    rank_zero_info(
        f"{source}: {shared:,} of {len(sessions.ids):,} session ids are shared by several users, as where every user's "
        f"sessions are counted from 1: a session is what has one id and one user, {len(distinct):,} in all. Leave the "
        "column of the users out if a session may have several"
    )
    return Groups(pairs, sessions.ids[distinct // (len(users.ids) + 1)])


def original_ids(texts: pd.Index) -> pd.Index:
    """Return ids as integers where every text is exactly that of one, else as the texts they are."""
    integers = exact_integers(texts)
    return texts if integers is None else integers


def _count_shared(sessions: Groups, users: Groups) -> int:
    # One place more is for rows whose session is missing, which are of no session.
    of_session = np.full(len(sessions.ids) + 1, -1, dtype=users.numbers.dtype)
    of_session[sessions.numbers] = users.numbers
    others = sessions.numbers[(of_session[sessions.numbers] != users.numbers) & (sessions.numbers >= 0)]
    return len(np.unique(others))
