"""The checkpoint from which an interrupted training is resumed."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_modules.utilities.files import replace_file


class LastCheckpoint(Checkpoint):
    """Keeps one checkpoint, of the end of the last epoch or of a step after it, that is never half written.

    Lightning's own ``ModelCheckpoint`` writes in place where temporary files are on another disk, with ``monitor`` and
    ``save_last`` leaves out the epochs that are no better, and every so many steps also writes between an epoch's last
    batch and its validation, which a training resumed from there skips.

    Args:
        every_n_train_steps: Also write after every so many batches of an epoch; 0 writes at the ends of epochs alone.
        filename: Name of the file without ``.ckpt``.
        folder: Folder within that of the run: ``checkpoints``, or ``resume`` for a file apart from those to use.

    Raises:
        ValueError: If ``every_n_train_steps`` is negative.
    """

    def __init__(
        self,
        every_n_train_steps: int = 0,
        filename: str = "last",
        folder: Literal["checkpoints", "resume"] = "checkpoints",
    ) -> None:
        if every_n_train_steps < 0:
            raise ValueError(f"every_n_train_steps is a number of batches and cannot be {every_n_train_steps}")
        self.every_n_train_steps = every_n_train_steps
        self.filename = filename
        self.folder = folder
        self._folder = Path()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Find the folder of the run, which all processes must ask for."""
        self._folder = Path(trainer.log_dir or trainer.default_root_dir) / self.folder

    @property
    def path(self) -> Path:
        """The file, once a training has been set up."""
        return self._folder / f"{self.filename}.ckpt"

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Write a checkpoint if one is due, unless a validation comes first."""
        done, every = batch_idx + 1, self.every_n_train_steps
        # Gradients that are being accumulated are in no checkpoint.
        is_due = every and done % every == 0 and done % trainer.accumulate_grad_batches == 0
        if is_due and not _validates_next(trainer, done):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write a checkpoint."""
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # set outside the Trainer's class
            return
        if trainer.is_global_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, partial(trainer.save_checkpoint, weights_only=False))
        else:
            # The other processes have their part in it, and write nothing.
            trainer.save_checkpoint(self.path, weights_only=False)


def _validates_next(trainer: pl.Trainer, done: int) -> bool:
    every = trainer.val_check_batch
    count = trainer.fit_loop.total_batch_idx + 1 if trainer.check_val_every_n_epoch is None else done
    return trainer.is_last_batch or bool(every and count % every == 0)
