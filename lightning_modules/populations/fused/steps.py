"""Many training steps at a time, for modules whose own step is a fraction of what a Trainer takes around it."""

import copy
from collections.abc import Iterator
from typing import Any, Generic, NamedTuple

import pytorch_lightning as pl
import torch

from datamodules.loader import BatchLoader, Rows
from lightning_modules.populations.stacked_model import UnmatchedError

# What would change the batches of the data module on their way to the model.
_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")

# More rows are split, so that what is prepared for them stays small.
_MOST_ROWS = 2**18


class Steps(NamedTuple):
    """Successive training steps.

    Attributes:
        rows: The rows of all steps, in their order: a named tuple of tensors of shape [n, ...].
        starts: Number of the first row of each step, and n.
    """

    rows: Any
    starts: list[int]


class StepsLoader(Generic[Rows]):
    """Yields the batches of another loader, many of them at a time.

    Args:
        loader: The loader of single batches.
    """

    def __init__(self, loader: BatchLoader[Rows]) -> None:
        self._batch_size = loader.batch_size
        self._loader = copy.copy(loader)
        self._loader.batch_size *= max(1, _MOST_ROWS // loader.batch_size)

    @property
    def sampler(self) -> BatchLoader[Rows]:
        """The object that Lightning tells the epoch to."""
        return self._loader

    #: Lightning looks for it wherever it finds a ``sampler``.
    batch_sampler = None

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Steps]:
        for rows in self._loader:
            total = len(rows[0])
            yield Steps(rows, [*range(0, total, self._batch_size), total])


class StepsDataModule(pl.LightningDataModule):
    """A data module whose training loader hands out many steps at a time.

    Args:
        datamodule: The data module, whose Trainer this one's becomes.

    Raises:
        UnmatchedError: If the data module changes its batches on their way to the model.
    """

    def __init__(self, datamodule: pl.LightningDataModule) -> None:
        super().__init__()
        kind = type(datamodule)
        for name in _TRANSFERS:
            if getattr(kind, name) is not getattr(pl.LightningDataModule, name):
                raise UnmatchedError(f"{kind.__name__} has its own {name}, which wants single batches")
        self.datamodule = datamodule

    def prepare_data(self) -> None:
        """Prepare the data."""
        self.datamodule.prepare_data()

    def setup(self, stage: str) -> None:
        """Set the data up."""
        self.datamodule.trainer = self.trainer
        self.datamodule.setup(stage)

    def train_dataloader(self) -> StepsLoader[Any]:
        """Return the training rows.

        Raises:
            UnmatchedError: If the data module's loader is no :class:`BatchLoader`.
        """
        loader = self.datamodule.train_dataloader()
        if not isinstance(loader, BatchLoader):
            raise UnmatchedError(f"{type(loader).__name__} hands out single batches alone")
        return StepsLoader(loader)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ARG002
        """Leave the batch on the CPU, for which the kernels are: Lightning would look at every number of steps."""
        return batch

    def val_dataloader(self) -> Any:
        """Return the validation rows."""
        return self.datamodule.val_dataloader()
