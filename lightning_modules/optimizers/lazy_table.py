"""Embeddings whose rows may be brought up to date when they are read."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class RowUpdates(ABC):
    """Keeps the rows of a table that somebody reads up to date, for an optimizer that leaves out the others."""

    @abstractmethod
    def bring_up(self, rows: Tensor) -> bool:
        """Bring rows up to date, and return whether their gradient may be that of these rows alone.

        Args:
            rows: Numbers of rows, int64 of any shape.
        """

    @abstractmethod
    def bring_up_all(self) -> None:
        """Bring all rows up to date."""


class LazyTable(nn.Embedding):
    """An embedding of which an optimizer may update only the rows that are read, and the others when they are.

    Calling it, ``weight``, ``state_dict`` and copies give weights that are up to date. ``parameters()`` alone does not:
    what it gives is up to date at the end of an epoch, or when :meth:`settle` has been called. Without an optimizer
    that knows it, it is an embedding.
    """

    #: Set by an optimizer.
    updates: RowUpdates | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """Return the vectors of rows: int64 [...] -> float [..., d]."""
        updates = self.updates
        if updates is None or not updates.bring_up(rows):
            return super().forward(rows)
        weight = self._parameters["weight"]
        return nn.functional.embedding(rows, weight, sparse=True)  # type: ignore[arg-type]  # there is a weight

    def settle(self) -> None:
        """Bring all rows up to date."""
        if self.updates is not None:
            self.updates.bring_up_all()

    def release(self) -> None:
        """Be an embedding that no optimizer knows."""
        self.settle()
        self.updates = None

    def __getattr__(self, name: str) -> Any:
        """Return the weights after the updates that are due."""
        if name == "weight":
            self.settle()
        return super().__getattr__(name)

    def _save_to_state_dict(self, *arguments: Any, **options: Any) -> None:
        self.settle()
        super()._save_to_state_dict(*arguments, **options)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        # What is due is due to the weights so far.
        self.settle()
        super()._load_from_state_dict(*arguments)

    def _apply(self, *arguments: Any, **options: Any) -> "LazyTable":
        self.settle()
        moved: LazyTable = super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        return moved

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which has no optimizer."""
        self.settle()
        return {name: value for name, value in self.__dict__.items() if name != "updates"}
