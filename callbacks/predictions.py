"""Predictions as a table with the keys of the data."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from torch import Tensor

from callbacks.table_files import CsvFile, ParquetFile, TableFile


class PredictionWriter(pl.Callback):
    """Writes all predicted rows to a CSV or Parquet file: the keys that the data came with, and what was predicted.

    The keys are the columns of what the data module's ``decode(batch)`` returns. Predictions of shape [n] are the
    column ``probability``; those of shape [n, tasks] are one column a task, named by the data module's ``tasks``.

    Batches are written as they come, to a part file for each process next to ``output``; when prediction is over the
    first process joins the parts to ``output``, in the order of the processes. The processes therefore need a common
    file system, an interrupted prediction leaves no half-written ``output``, and an existing file is overwritten.

    Args:
        output: Path of the file, which ends in .csv or .parquet; its folder is created.

    Raises:
        ValueError: If ``output`` has another ending; in ``predict``, if the trainer has no data module that decodes
            batches, or one with another number of tasks than the model predicts.
    """

    def __init__(self, output: str) -> None:
        self.output = Path(output)
        if self.output.suffix not in (".csv", ".parquet"):
            raise ValueError(f"{output} names no known format; let the predictions' file end in .csv or .parquet")

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the part of this process."""
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "decode"):
            raise ValueError(
                f"{self.output} is to hold original ids, but the trainer's data module ({type(data).__name__}) has no "
                "decode(batch) to give them; call trainer.predict(model, datamodule=...) with one that has"
            )
        self._data = data
        self.output.parent.mkdir(parents=True, exist_ok=True)
        path = self._part(trainer.global_rank)
        self._file: TableFile = (
            ParquetFile(path) if self._is_parquet() else CsvFile(path, header=trainer.is_global_zero)
        )

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Tensor,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the rows of one batch."""
        keys: pd.DataFrame = self._data.decode(batch)
        self._file.append(keys.assign(**self._columns(outputs)))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the parts."""
        self._file.close()
        trainer.strategy.barrier("predictions")
        if trainer.is_global_zero:
            self._join(trainer.world_size)

    def _columns(self, probability: Tensor) -> dict[str, Any]:
        values = probability.float().cpu().numpy()
        if values.ndim == 1:
            return {"probability": values}
        tasks = tuple(getattr(self._data, "tasks", ()))
        if len(tasks) != values.shape[1]:
            raise ValueError(
                f"the model predicts {values.shape[1]} tasks and the data has {len(tasks)} ({', '.join(tasks)}); "
                "predict with data that has the tasks that the model was trained on"
            )
        return dict(zip(tasks, values.T, strict=True))

    def _is_parquet(self) -> bool:
        return self.output.suffix == ".parquet"

    def _part(self, rank: int) -> Path:
        return self.output.with_name(f"{self.output.name}.part{rank}")

    def _join(self, world_size: int) -> None:
        parts = [self._part(rank) for rank in range(world_size)]
        (ParquetFile if self._is_parquet() else CsvFile).join(parts, self.output)
