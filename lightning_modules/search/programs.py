"""A batch of formulas as tensors: what strategies draw, mutate and score, and screening evaluates."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Programs:
    """Straight-line programs of equal length over one search space.

    Positions count the leaves first and then the operator nodes, so that node ``k`` may read positions below
    ``leaves + k``. The last node is the loss.

    Attributes:
        operators: Number of each node's operator in the space's list, int64 ``[count, nodes]``.
        operands: Positions that each node reads, int64 ``[count, nodes, 2]``; a unary node repeats its operand.
    """

    operators: Tensor
    operands: Tensor

    def __len__(self) -> int:
        return len(self.operators)

    def __getitem__(self, index: Tensor | slice) -> "Programs":
        return Programs(self.operators[index], self.operands[index])

    @staticmethod
    def concatenate(parts: Sequence["Programs"]) -> "Programs":
        """Join batches one after the other."""
        return Programs(torch.cat([part.operators for part in parts]), torch.cat([part.operands for part in parts]))

    def used(self, leaves: int) -> Tensor:
        """Mark the nodes that the last one depends on, bool ``[count, nodes]``."""
        count, nodes = self.operators.shape
        used = torch.zeros(count, leaves + nodes, dtype=torch.bool)
        used[:, -1] = True
        for node in reversed(range(nodes)):
            needed = used[:, leaves + node, None].expand(-1, 2)
            used.scatter_reduce_(1, self.operands[:, node], needed, "amax")
        return used[:, leaves:]
