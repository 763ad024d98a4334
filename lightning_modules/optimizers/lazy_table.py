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

    Whoever reads the weights, by rows, as a parameter or in a state, gets them up to date. Without an optimizer that
    knows it, it is an embedding.
    """

    #: Set by an optimizer.
    updates: RowUpdates | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """Return the vectors of rows: int64 [...] -> float [..., d]."""
        updates = self.updates
        # Torch counts no rows in sparse gradients.
        if updates is None or self.scale_grad_by_freq or not updates.bring_up(rows):
            return super().forward(rows)
        # As in nn.Embedding, but for the weights, which not all are up to date.
        weight, norm = self.__dict__["_parameters"]["weight"], (self.max_norm, self.norm_type)
        return nn.functional.embedding(rows, weight, self.padding_idx, *norm, sparse=True)

    def settle(self) -> None:
        """Bring all rows up to date."""
        if self.updates is not None:
            self.updates.bring_up_all()

    def release(self) -> None:
        """Be an embedding that no optimizer knows."""
        self.settle()
        self.updates = None

    @property
    def _parameters(self) -> dict[str, nn.Parameter | None]:
        # All that torch does with the weights of a module goes through this dictionary, or asks for them by name.
        self.settle()
        parameters: dict[str, nn.Parameter | None] = self.__dict__["_parameters"]
        return parameters

    @_parameters.setter
    def _parameters(self, parameters: dict[str, nn.Parameter | None]) -> None:
        self.__dict__["_parameters"] = parameters

    def __getattr__(self, name: str) -> Any:
        """Return the weights after the updates that are due."""
        if name == "weight":
            self.settle()
        return super().__getattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which no optimizer knows."""
        self.settle()
        return {name: value for name, value in self.__dict__.items() if name != "updates"}
