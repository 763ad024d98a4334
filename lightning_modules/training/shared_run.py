"""The TensorBoard run that many trainings share."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

_FIRST_PARTS = ("train", "val", "weight")
_LEFT_OUT = ("train/loss_step",)


class SharedRun(Logger):
    """Writes the curves of one training, epoch by epoch, into a run that others write to as well.

    Every training has an event file of its own, so that the curves of an attempt that was interrupted can be deleted.
    Curves are called ``TRAINING/SEED/METRIC``; steps are epochs, counted from 1.

    Args:
        checkpoint: Where the training's checkpoint will lie, ``RUN/SEED/TRAINING.ckpt``.
    """

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        self._root = checkpoint.parent.parent
        self._prefix = f"{checkpoint.stem}/{checkpoint.parent.name}"
        self._suffix = f".{checkpoint.parent.name}.{checkpoint.stem}"
        self._writer: SummaryWriter | None = None
        for events in self._root.glob(f"events.out.tfevents.*{self._suffix}"):
            events.unlink()

    @property
    def name(self) -> str:
        """The name of the training."""
        return self._prefix

    @property
    def version(self) -> str:
        """None: there is one run alone."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:  # noqa: ARG002
        """Write the metrics of an epoch; statistics of single batches are left out."""
        epoch = int(metrics.get("epoch", 0)) + 1
        for name, value in metrics.items():
            if name.partition("/")[0] in _FIRST_PARTS and name not in _LEFT_OUT:
                self._events.add_scalar(f"{self._prefix}/{name}", float(value), epoch)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Write nothing: hyper-parameters belong to a run and not to one of its trainings."""

    @rank_zero_only
    def save(self) -> None:
        """Write what is waiting."""
        if self._writer is not None:
            self._writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Close the event file; what is logged later opens another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _events(self) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(str(self._root), filename_suffix=self._suffix)
        return self._writer
