"""Statistics of an epoch that parts of a model log when it ends."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor


class EpochStatistics(ABC):
    """A part of a model that keeps what its training batches look like, for the log of the epoch.

    What is kept stays on the device, so that no step waits for it.
    """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything kept so far."""

    @abstractmethod
    def statistics(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the name in the log and the value of every statistic; nothing if there was no training batch."""


class RowSample:
    """An evenly spaced sample of all rows added, bounded in size, that stays on their device.

    Keeps every row until there are more than ``capacity``, from then on every second, every fourth, and so on.

    Args:
        capacity: Number of rows that are never exceeded, >= 1.
    """

    def __init__(self, capacity: int = 2**16) -> None:
        self._capacity = capacity
        self._kept: list[Tensor] = []
        self._num_kept, self._num_added, self._stride = 0, 0, 1

    def add(self, rows: Tensor) -> None:
        """Take in detached rows, of shape [n, ...]."""
        # A copy, because a slice would keep all rows in memory.
        chosen = rows[-self._num_added % self._stride :: self._stride].clone()
        self._num_added += len(rows)
        if len(chosen):
            self._kept.append(chosen)
            self._num_kept += len(chosen)
        while self._num_kept > self._capacity:
            self._kept = [torch.cat(self._kept)[::2].clone()]
            self._num_kept, self._stride = len(self._kept[0]), 2 * self._stride

    def rows(self) -> Tensor | None:
        """Return the rows in the order in which they came, or None if there are none."""
        return torch.cat(self._kept) if self._kept else None
