"""Predictions as a table with the ids of the data."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from torch import Tensor


class PredictionWriter(pl.Callback):
    """Writes ``user,item,probability`` of all predicted rows to a CSV file, with the ids that the data came with.

    Batches are written as they come, to a part file for each process next to ``output``; when prediction is over the
    first process joins the parts to ``output``, in the order of the processes. The processes therefore need a common
    file system, an interrupted prediction leaves no half-written ``output``, and an existing file is overwritten.

    Args:
        output: Path of the CSV file; its folder is created.

    Raises:
        ValueError: In ``predict``, if the trainer has no data module that decodes batches to ids.
    """

    def __init__(self, output: str) -> None:
        self.output = Path(output)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the part of this process, with a header in the first one."""
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "decode"):
            raise ValueError(
                f"{self.output} is to hold original ids, but the trainer's data module ({type(data).__name__}) has no "
                "decode(batch) to give them; call trainer.predict(model, datamodule=...) with one that has"
            )
        self._decode = data.decode
        self.output.parent.mkdir(parents=True, exist_ok=True)
        header = "user,item,probability\n" if trainer.is_global_zero else ""
        self._part(trainer.global_rank).write_text(header, encoding="utf-8")

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
        rows: pd.DataFrame = self._decode(batch)[["user", "item"]]
        rows = rows.assign(probability=outputs.float().cpu().numpy())
        rows.to_csv(self._part(trainer.global_rank), mode="a", header=False, index=False)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the parts."""
        trainer.strategy.barrier("predictions")
        if trainer.is_global_zero:
            self._join(trainer.world_size)

    def _part(self, rank: int) -> Path:
        return self.output.with_name(f"{self.output.name}.part{rank}")

    def _join(self, world_size: int) -> None:
        first = self._part(0)
        with first.open("ab") as joined:
            for rank in range(1, world_size):
                with self._part(rank).open("rb") as part:
                    shutil.copyfileobj(part, joined)
                self._part(rank).unlink()
        first.replace(self.output)
