"""Batches as slices of in-memory tensors, shuffled by epoch and shared among processes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, distributed

Rows = TypeVar("Rows", bound=tuple[Tensor, ...])


def epoch_seed(seed: int, *place: int) -> int:
    """Return a seed that depends on another one and on a place, such as an epoch and a batch, alone."""
    return int(np.random.SeedSequence((seed % 2**64, *place)).generate_state(1, np.uint64)[0])


def epoch_generator(seed: int, epoch: int, stream: int = 0) -> torch.Generator:
    """Return a generator that depends on seed, epoch and stream alone; different triples are independent."""
    return torch.Generator().manual_seed(epoch_seed(seed, epoch, stream))


def shared_seed(trainer: pl.Trainer | None) -> int:
    """Return torch's seed; where a Trainer has several processes, that of the first in all of them."""
    seed = torch.initial_seed()
    if trainer is None or getattr(trainer, "world_size", 1) == 1:
        return seed
    # Unless torch was given a seed every process has its own, by which rows would be dealt out twice or never.
    return int(trainer.strategy.broadcast(seed))


def as_rows(kind: type[Rows], columns: Iterable[Tensor]) -> Rows:
    """Return tensors of shape [n, ...] as a named tuple of a kind."""
    # `_make` is the constructor that every named tuple has, whatever its fields.
    rows: Rows = cast(Any, kind)._make(columns)
    return rows


class BatchLoader(Generic[Rows]):
    """Yields slices of equally long tensors as the named tuple they came in.

    Like torch's DistributedSampler, a shuffled loader repeats its order until ``set_epoch`` names another epoch;
    Lightning does that. With several processes every one gets its own contiguous part of the epoch's order: the parts
    are disjoint, together they are all rows, and every process makes the same number of steps, for which its last
    batch may hold ``batch_size + 1`` rows. A loader restored by ``load_state_dict`` goes on inside its epoch.

    Args:
        rows: Named tuple of tensors of shape [n, ...].
        batch_size: Rows a batch and process.
        shuffle: Whether every epoch has its own order.
        seed: Seed of the orders; every process must be given the same.
        rank: Number of this process; taken from torch.distributed when a loop begins if not given.
        world_size: Number of processes; like ``rank``.

    Raises:
        ValueError: If the tensors differ in length, ``batch_size`` is below 1, a shuffled loader has no seed, or (when
            a loop begins) there are fewer rows than processes.
    """

    #: Lightning looks for it wherever it finds a ``sampler``.
    batch_sampler: ClassVar[None] = None

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        lengths = {len(column) for column in rows}
        if len(lengths) != 1:
            raise ValueError(f"the tensors of a loader must be equally long, got lengths {sorted(lengths)}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if shuffle and seed is None:
            raise ValueError("a shuffled loader needs a seed; pass seed=, or shuffle=False")
        self.rows = rows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._position = 0
        self._resume: dict[str, int] = {}

    @property
    def sampler(self) -> "BatchLoader[Rows]":
        """The object that Lightning tells the epoch to: the loader itself."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the loop that starts next."""
        self.epoch = epoch
        self._position = 0

    def __len__(self) -> int:
        return -(-self._smallest_part() // self.batch_size)

    def __iter__(self) -> Iterator[Rows]:
        begin, end = self._part(self._own_rank())
        steps = len(self)
        columns = self._ordered(self.epoch_rows(), begin, end)
        for step in range(self._first_step(), steps):
            start = step * self.batch_size
            stop = start + self.batch_size if step + 1 < steps else end - begin
            self._position = step + 1
            yield as_rows(type(columns), (column[start:stop] for column in columns))

    def epoch_rows(self) -> Rows:
        """Return the rows of the current epoch, before they are shuffled and shared."""
        return self.rows

    def state_dict(self) -> dict[str, int]:
        """Return the place in the current epoch and what its steps depend on; Lightning stores it in checkpoints."""
        place = {"epoch": self.epoch, "position": self._position, "steps": len(self)}
        return {**place, "batch_size": self.batch_size, "world_size": self._own_world_size()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next loop go on behind the stored place if it is a loop over the stored epoch.

        That loop raises a ValueError if the place lies inside the epoch, and the stored batch size or number of
        processes is another: Lightning counts steps, so that rows would be left out or come twice.
        """
        self._resume = dict(state)

    def _first_step(self) -> int:
        resume, self._resume = self._resume, {}
        if not resume or resume["epoch"] != self.epoch:
            return 0
        if resume["position"] == resume.get("steps"):
            return len(self)
        if resume["position"]:
            self._refuse_other_steps(resume)
        return resume["position"]

    def _refuse_other_steps(self, resume: dict[str, int]) -> None:
        now = {"batch_size": self.batch_size, "world_size": self._own_world_size()}
        # States that were stored without them are taken to agree.
        before = {name: resume.get(name, value) for name, value in now.items()}
        if before != now:
            raise ValueError(
                f"the checkpoint was written inside epoch {self.epoch}, after {resume['position']} batches "
                f"{_sizes(before)}, and the training is to go on with batches {_sizes(now)}: rows of that epoch would "
                "be left out or trained twice. Go on with that batch_size and as many devices, or from a checkpoint "
                "that was written at the end of an epoch"
            )

    def _ordered(self, rows: Rows, begin: int, end: int) -> Rows:
        if not self.shuffle:
            return as_rows(type(rows), (column[begin:end] for column in rows))
        order = torch.randperm(len(rows[0]), generator=epoch_generator(cast(int, self.seed), self.epoch))[begin:end]
        return as_rows(type(rows), (column[order.to(column.device)] for column in rows))

    def _part(self, rank: int) -> tuple[int, int]:
        share = self._smallest_part()
        rest = len(self.rows[0]) - share * self._own_world_size()
        begin = rank * share + min(rank, rest)
        return begin, begin + share + (rank < rest)

    def _smallest_part(self) -> int:
        # It decides the number of steps, so that no process is left without a batch in the last one.
        size, world_size = len(self.rows[0]), self._own_world_size()
        if size < world_size:
            raise ValueError(
                f"{size} rows cannot be shared among {world_size} processes; use more rows or fewer devices"
            )
        return size // world_size

    def _own_rank(self) -> int:
        return self.rank if self.rank is not None else distributed.get_rank() if _is_distributed() else 0

    def _own_world_size(self) -> int:
        if self.world_size is not None:
            return self.world_size
        return distributed.get_world_size() if _is_distributed() else 1


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _sizes(of: Mapping[str, int]) -> str:
    processes = of["world_size"]
    return f"of {of['batch_size']} rows in {processes} process{'es' if processes > 1 else ''}"
