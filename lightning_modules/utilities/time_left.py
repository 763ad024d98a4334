"""The time left of work whose parts are of several kinds and are done one after the other."""

import time
from collections.abc import Callable
from dataclasses import dataclass

#: Returns the time in seconds.
Clock = Callable[[], float]


@dataclass
class _Kind:
    """Parts of one kind.

    Attributes:
        left: Parts that are left.
        weight: How long a part takes as long as none is known, beside those of other kinds.
        timed: Parts whose time is known.
        seconds: Their time.
        most: Returns the most seconds that the rest may take.
    """

    left: float = 0.0
    weight: float = 1.0
    timed: int = 0
    seconds: float = 0.0
    most: Callable[[], float] | None = None


class TimeLeft:
    """Estimates the time left of all work: parts take as long as others of their kind did.

    Before a part of a kind is done, it counts as long as those of other kinds in proportion to their weights.

    Args:
        clock: Tells the time.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}
        self._last = clock()

    def plan(
        self, kind: str, left: float, *, weight: float | None = None, most: Callable[[], float] | None = None
    ) -> None:
        """Set how many parts of a kind are left.

        Args:
            kind: The kind.
            left: The parts.
            weight: How long one takes, beside those of other kinds; 0 leaves the kind out until its time is known.
            most: Returns the most seconds that they may take.
        """
        planned = self._kinds.setdefault(kind, _Kind())
        planned.left = max(0.0, left)
        planned.weight = planned.weight if weight is None else weight
        planned.most = most or planned.most

    def done(self, kind: str, *, known: bool = False) -> None:
        """Count a part, which began when the one before it was done.

        Args:
            kind: Its kind.
            known: Whether it was done before, so that its time says nothing.
        """
        now, counted = self._clock(), self._kinds.setdefault(kind, _Kind())
        counted.left = max(0.0, counted.left - 1)
        if not known:
            counted.timed += 1
            counted.seconds += now - self._last
        self._last = now

    @property
    def seconds(self) -> float | None:
        """The seconds left; ``None`` while nothing tells how long parts take."""
        waiting = [each for each in self._kinds.values() if each.left]
        known = [each for each in self._kinds.values() if each.timed and each.weight]
        if not known and any(not each.timed for each in waiting):
            return None
        unit = sum(each.seconds for each in known) / (sum(each.timed * each.weight for each in known) or 1)
        left = sum(_seconds_of(each, unit) for each in waiting)
        return max(0.0, left - (self._clock() - self._last))


def _seconds_of(kind: _Kind, unit: float) -> float:
    seconds = kind.left * (kind.seconds / kind.timed if kind.timed else kind.weight * unit)
    return seconds if kind.most is None else min(seconds, max(0.0, kind.most()))
