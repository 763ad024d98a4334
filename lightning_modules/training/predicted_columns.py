"""What a model predicts for the rows of a loader, and columns of their batches, read in one pass."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed

from lightning_modules.statistics.ranking import scores_of
from lightning_modules.training.row_order import refuse_random_order


def predicted_columns(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    loader: Iterable[Any],
    step: Callable[..., Tensor] | None,
    read: Callable[[Any], Sequence[Tensor]],
) -> list[Tensor]:
    """Return what a model predicts for all rows of a loader, those of other processes included, and their columns.

    Both are of one pass over the loader: another one may have another order.

    Args:
        trainer: The Trainer.
        model: The model.
        loader: The loader.
        step: Predicts a batch, tensors [n, ...]; ``None`` is the model's ``predict_step``.
        read: Returns columns of a batch, tensors [n, ...].

    Returns:
        The predictions, in single precision at least, and the columns, on the CPU.

    Raises:
        ValueError: If the loader shuffles its rows, or ``read`` refuses a batch.
    """
    refuse_random_order(loader)
    reader = _BatchReader(read)
    with _predicting(model, step), _called(trainer, reader):
        predicted: list[Any] = trainer.predict(model, dataloaders=loader) or []
    parts = [[scores_of(each) for each in predicted], *zip(*reader.columns, strict=True)]
    own = [torch.cat([*column]).cpu() for column in parts]
    return [torch.cat(columns) for columns in zip(*_of_all_processes(own), strict=True)]


class _BatchReader(pl.Callback):
    """Keeps what it reads of every batch that a Trainer predicts."""

    def __init__(self, read: Callable[[Any], Sequence[Tensor]]) -> None:
        self._read = read
        self.columns: list[list[Tensor]] = []

    def on_predict_batch_start(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,  # noqa: ARG002
        batch: Any,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        """Read a batch before the model may change it."""
        # What a loader's worker has sent keeps a file open for as long as it is kept.
        self.columns.append([column.clone() for column in self._read(batch)])


@contextmanager
def _predicting(model: pl.LightningModule, step: Callable[..., Tensor] | None) -> Iterator[None]:
    """Let the Trainer predict something else of every batch, if there is a step that does."""
    if step is None:
        yield
        return
    # An attribute of the object is found before the method of its class, by the Trainer too.
    vars(model)["predict_step"] = step
    try:
        yield
    finally:
        del vars(model)["predict_step"]


@contextmanager
def _called(trainer: pl.Trainer, callback: pl.Callback) -> Iterator[None]:
    """Let the Trainer call one more callback."""
    # The list is set outside the Trainer's class, and may become another one by the model's own callbacks.
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trainer.callbacks.remove(callback)  # type: ignore[attr-defined]


def _of_all_processes(own: list[Tensor]) -> list[list[Tensor]]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    parts: list[list[Tensor]] = [own] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return parts
