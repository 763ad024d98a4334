"""All programs of a search space with a number of operators, one by one."""

import math

import torch
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace

# Programs that are written at a time.
_BLOCK = 2**18


class Enumeration:
    """The programs of a space of which exactly the last ``operators`` nodes may be read, in a fixed order.

    A program's number has a digit for every node: the operator and the operands that it reads. The other nodes come
    first, as :meth:`SearchSpace.encode` writes them.

    Args:
        space: The search space.
        operators: Number of operators, 1 to the space's nodes.
    """

    def __init__(self, space: SearchSpace, operators: int) -> None:
        self.space = space
        self.operators = operators
        self._unary, self._binary = ((space.binary == binary).nonzero().squeeze(1) for binary in (False, True))

    def __len__(self) -> int:
        """Return how many numbers there are, those of programs that :meth:`distinct` leaves out included."""
        return math.prod(self._choices(node) for node in range(self.operators))

    def distinct(self) -> Tensor:
        """Return the numbers of programs that read all of these nodes, one order of commutative operands, int64 [n]."""
        found = [self._kept(block) for block in torch.arange(len(self)).split(_BLOCK)]
        return torch.cat(found)

    def _kept(self, numbers: Tensor) -> Tensor:
        programs = self.programs(numbers)
        read = programs.used(len(self.space.leaves))[:, self._idle :].all(1)
        first, second = programs.operands.unbind(-1)
        ordered = (first <= second) | ~self.space.commutative[programs.operators]
        return numbers[read & ordered.all(1)]

    def programs(self, numbers: Tensor) -> Programs:
        """Return the programs with these numbers, int64 [n]."""
        operators = torch.zeros(len(numbers), self.space.nodes, dtype=torch.int64)
        operands = torch.zeros(len(numbers), self.space.nodes, 2, dtype=torch.int64)
        operands[..., 1] = self.space.binary[0].long()
        for node in range(self.operators):
            digit, numbers = numbers % self._choices(node), numbers // self._choices(node)
            operators[:, self._idle + node], read = self._applied(node, digit)
            operands[:, self._idle + node] = read + self._idle * (read >= len(self.space.leaves))
        return Programs(operators, operands)

    def numbers(self, programs: Programs) -> Tensor:
        """Return the numbers of programs that :meth:`programs` has written, int64 [n]; others have any."""
        numbers = torch.zeros(len(programs), dtype=torch.int64)
        for node in reversed(range(self.operators)):
            operator, read = (each[:, self._idle + node] for each in (programs.operators, programs.operands))
            read = read - self._idle * (read >= len(self.space.leaves))
            numbers = numbers * self._choices(node) + self._digit(node, operator, read)
        return numbers

    @property
    def _idle(self) -> int:
        return self.space.nodes - self.operators

    def _choices(self, node: int) -> int:
        earlier = len(self.space.leaves) + node
        return earlier * len(self._unary) + earlier * (earlier - 1) * len(self._binary)

    def _applied(self, node: int, digit: Tensor) -> tuple[Tensor, Tensor]:
        """Return the operator of a node and the two positions that it reads, int64 [n] and [n, 2]."""
        earlier = len(self.space.leaves) + node
        pair = digit - earlier * len(self._unary)
        is_binary = pair >= 0
        kind, first, second = pair // (earlier * (earlier - 1)), pair // (earlier - 1) % earlier, pair % (earlier - 1)
        both = torch.stack([first, second + (second >= first)], dim=-1)
        alone = (digit % earlier)[:, None].expand(-1, 2)
        operator = torch.where(is_binary, _at(self._binary, kind), _at(self._unary, digit // earlier))
        return operator, torch.where(is_binary[:, None], both, alone)

    def _digit(self, node: int, operator: Tensor, read: Tensor) -> Tensor:
        earlier, (first, second) = len(self.space.leaves) + node, read.unbind(-1)
        place = (self.space.binary == self.space.binary[operator][:, None]).cumsum(1).gather(1, operator[:, None]) - 1
        pair = (place.squeeze(1) * earlier + first) * (earlier - 1) + second - (second > first).long()
        alone = place.squeeze(1) * earlier + first
        return torch.where(self.space.binary[operator], earlier * len(self._unary) + pair, alone)


def _at(values: Tensor, index: Tensor) -> Tensor:
    """Return the values at indices, and anything where an index is none."""
    return values[index.clamp(0, len(values) - 1)] if len(values) else torch.zeros_like(index)
