"""The replay buffer of an agent's transitions."""

from typing import Any, Generic, cast

import torch
from torch import Tensor

from datamodules.loader import Rows, as_rows
from datamodules.sessions.transitions import Transition

_DEFAULT_KIND: Any = Transition


class ReplayBuffer(Generic[Rows]):
    """Keeps the last rows in tensors on the device of the first ones; stores and samples without loops over rows.

    Args:
        capacity: Number of rows to keep; when it is reached the oldest are overwritten.
        kind: Named tuple of tensors of shape [n, ...] that the rows come in.

    Raises:
        ValueError: If ``capacity`` is below 1.
    """

    def __init__(self, capacity: int, kind: type[Rows] = _DEFAULT_KIND) -> None:
        if capacity < 1:
            raise ValueError(f"a replay buffer holds at least one row, got a capacity of {capacity}")
        self.capacity = capacity
        self.kind = kind
        self._columns: list[Tensor] = []
        self._filled = 0
        self._next = 0

    def __len__(self) -> int:
        return self._filled

    def store(self, rows: Rows) -> None:
        """Keep rows, over the oldest where there is no room; of more rows than there is room for, the last."""
        if not self._columns:
            self._columns = [column.new_empty((self.capacity, *column.shape[1:])) for column in rows]
        count = min(len(rows[0]), self.capacity)
        room = min(count, self.capacity - self._next)
        for column, new in zip(self._columns, rows, strict=True):
            kept = new.detach()[len(new) - count :]
            column[self._next : self._next + room] = kept[:room]
            column[: count - room] = kept[room:]
        self._next = (self._next + count) % self.capacity
        self._filled = min(self._filled + count, self.capacity)

    def sample(self, size: int, generator: torch.Generator) -> Rows:
        """Return rows drawn uniformly with replacement, in time and memory that depend on ``size`` alone.

        Args:
            size: Number of rows.
            generator: On the CPU, so that the same seed draws the same rows on every device.

        Raises:
            ValueError: If nothing has been stored.
        """
        if not self._filled:
            raise ValueError("nothing has been stored in the replay buffer, so there is nothing to sample")
        drawn = torch.randint(self._filled, (size,), generator=generator).to(self._columns[0].device)
        return as_rows(self.kind, (column.index_select(0, drawn) for column in self._columns))

    def state_dict(self) -> dict[str, Any]:
        """Return the rows that there are and the place of the next one, as plain values."""
        # A tensor that is part of a larger one is saved with all of it.
        full = self._filled == self.capacity
        kept = [column if full else column[: self._filled].clone() for column in self._columns]
        return {"columns": dict(zip(cast(Any, self.kind)._fields, kept, strict=False)), "next": self._next}

    def load_state_dict(self, state: dict[str, Any], device: torch.device | str = "cpu") -> None:
        """Take over the rows that :meth:`state_dict` returned.

        Args:
            state: The rows.
            device: Where they are to be kept.

        Raises:
            ValueError: If there are more than the capacity, or rows of another kind.
        """
        columns = state["columns"]
        if columns and set(columns) != set(cast(Any, self.kind)._fields):
            raise ValueError(f"the stored replay has the columns {sorted(columns)}, not those of {self.kind.__name__}")
        filled = len(next(iter(columns.values()))) if columns else 0
        if filled > self.capacity or (filled < self.capacity and state["next"] != filled):
            raise ValueError(
                f"the stored replay of {filled} rows is one of another size than {self.capacity}; "
                "go on with the memory_size that it was begun with"
            )
        self._columns, self._filled, self._next = [], 0, 0
        if columns:
            self.store(as_rows(self.kind, (columns[name].to(device) for name in cast(Any, self.kind)._fields)))
            self._next = state["next"]
