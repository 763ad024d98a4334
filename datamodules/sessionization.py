"""Sessions from events without any: a session ends where its visitor pauses."""

import numpy as np


def sessions_by_inactivity(visitor: np.ndarray, time: np.ndarray, gap: float) -> np.ndarray:
    """Return the number of every event's session, int64 [n], counted from 0 by visitor and then time.

    Args:
        visitor: Number of the visitor, [n], in any order.
        time: Time of the event, [n].
        gap: The longest pause within a session, in the unit of ``time``.
    """
    order = np.lexsort((time, visitor))
    ordered_visitor, ordered_time = visitor[order], time[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (np.diff(ordered_visitor) != 0) | (np.diff(ordered_time) > gap)
    session = np.empty(len(order), dtype=np.int64)
    session[order] = np.cumsum(begins) - 1
    return session
