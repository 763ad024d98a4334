"""How fast a command trains, as seen from inside its Trainer."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import time

import pytorch_lightning as pl


class EpochTimer(pl.Callback):
    """Logs ``train/rows_per_second`` of every epoch, from its first batch to its last; validation does not count.

    The seconds are those of this process on the processor, so that what else the machine does matters little; to be
    used with one thread.
    """

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._rows = 0
        self._start = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:  # type: ignore[no-untyped-def]
        """Count the batch's rows."""
        self._rows += len(batch.label)
        self._seconds = time.process_time() - self._start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's rate."""
        pl_module.log("train/rows_per_second", self._rows / self._seconds, batch_size=1)
