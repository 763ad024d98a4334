"""Which columns of a table are read, and as what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table to read, and as what.

    Attributes:
        keys: Ids of sessions, users, items; none may be missing. Read as categories.
        categories: Read as categories.
        numbers: Read as float32, missing ones as nan.
        labels: 0 or 1, read as float32.
        ratings: Finite numbers, read as float64; none may be missing.
        times: Numbers or ISO 8601 dates; none may be missing.
        hints: For some columns what to do where they are missing or hold something else, a sentence without its stop.
    """

    keys: Sequence[str] = ()
    categories: Sequence[str] = ()
    numbers: Sequence[str] = ()
    labels: Sequence[str] = ()
    ratings: Sequence[str] = ()
    times: Sequence[str] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The columns that are read as categories."""
        return list(dict.fromkeys([*self.keys, *self.categories]))

    @property
    def floats(self) -> list[str]:
        """The columns that are read as floating-point numbers."""
        return [*self.numbers, *self.labels, *self.ratings]

    def names(self) -> list[str]:
        """Return all columns.

        Raises:
            ValueError: If one is to be read as two things.
        """
        names = [*self.texts, *self.floats, *self.times]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"column '{name}' is named for two uses that exclude each other; name it for one")
        return names
