"""Predictions as a table with the keys of the data."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from callbacks.table_files import CsvFile, ParquetFile, TableFile
from lightning_modules.utilities.files import full_disk_named, replaceable
from lightning_modules.utilities.precision import at_least_single
from lightning_modules.utilities.serialization import refuse_non_finite


class Recommendations(Protocol):
    """Recommended items with the columns ``rank`` and ``score``, each of shape [n]."""

    @property
    def rank(self) -> Tensor: ...  # noqa: D102
    @property
    def score(self) -> Tensor: ...  # noqa: D102


class PredictionWriter(pl.Callback):
    """Writes all predicted rows to a CSV or Parquet file: the keys that the data came with, and what was predicted.

    The keys are the columns of what the data module's ``decode(batch)`` returns. Predictions of shape [n] are the
    column ``probability``; those of shape [n, tasks] are one column a task, named by the data module's ``tasks``.
    Recommendations are rows of their own: ``decode`` is given them in place of the batch, and their rank and score are
    columns.

    Single precision rounds probabilities to 1 above a logit of 16.6, so that rows that are to be ranked by the file may
    need their logits, in a column ``logit``, or ``click_logit`` for the task ``click``: those that the model's
    ``logit_step`` gives in the Trainer's precision, and of which the probabilities beside them are. A warning tells of
    rounded probabilities, and of predictions that are not finite.

    Batches are written as they come, to a hidden file for each process next to ``output``; when prediction is over the
    first process joins these parts to ``output``, in the order of the processes. The processes therefore need a common
    file system, an interrupted prediction leaves no half-written ``output``, and an existing file is overwritten.

    Args:
        output: Path of the file, which ends in .csv or .parquet; its folder is created.
        logits: Whether to write logits beside the probabilities.
        top_k: Number of items that are recommended to a user, >= 1; None leaves it to the model.

    Raises:
        ValueError: If ``output`` has another ending, or ``top_k`` is below 1; in ``predict``, if the trainer has no
            data module that decodes batches, or one with another number of tasks than the model predicts, if a weight
            of the model is not finite, if it is to give logits and has no ``logit_step``, or recommends nothing and
            ``top_k`` is set.
    """

    def __init__(self, output: str, logits: bool = False, top_k: int | None = None) -> None:
        self.output = Path(output)
        self.logits = logits
        self.top_k = top_k
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k={top_k} recommends nothing; give 1 or more")
        if self.output.suffix not in (".csv", ".parquet"):
            raise ValueError(f"{output} names no known format; let the predictions' file end in .csv or .parquet")
        self._file: TableFile | None = None
        self._kept: _KeptLogits | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the part of this process."""
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "decode"):
            raise ValueError(
                f"{self.output} is to hold original ids, but the trainer's data module ({type(data).__name__}) has no "
                "decode(batch) to give them; call trainer.predict(model, datamodule=...) with one that has"
            )
        if self.logits and not hasattr(pl_module, "logit_step"):
            raise ValueError(f"{type(pl_module).__name__} has no logit_step(batch) to give the logits of {self.output}")
        if self.top_k is not None:
            if not hasattr(pl_module, "top_k"):
                raise ValueError(f"{type(pl_module).__name__} scores given rows and recommends no top_k items")
            pl_module.top_k = self.top_k  # type: ignore[assignment]  # no parameter
        refuse_non_finite(pl_module, f"{self.output} is not written")
        self._data = data
        self._kept = _KeptLogits(trainer, pl_module) if self.logits else None
        self._counts = torch.zeros(2, dtype=torch.int64, device=pl_module.device)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        path = self._part(trainer.global_rank)
        with full_disk_named(self.output):
            self._file = ParquetFile(path) if self._is_parquet() else CsvFile(path, header=trainer.is_global_zero)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Tensor | Recommendations,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the rows of one batch."""
        assert self._file is not None
        rows = self._rows(outputs, batch)
        with full_disk_named(self.output):
            self._file.append(rows)

    def _rows(self, outputs: Tensor | Recommendations, batch: Any) -> pd.DataFrame:
        if not isinstance(outputs, Tensor):
            return self._recommended(outputs)
        keys: pd.DataFrame = self._data.decode(batch)
        logit = None if self._kept is None else self._kept.of(batch)
        probability = outputs if logit is None else torch.sigmoid(logit)
        rounded = (probability == 0) | (probability == 1)
        self._counts += torch.stack([rounded.sum(), (~torch.isfinite(probability)).sum()])
        columns = self._columns(probability, "probability", "{}")
        if logit is not None:
            columns |= self._columns(logit, "logit", "{}_logit")
        return keys.assign(**columns)

    def _recommended(self, outputs: Recommendations) -> pd.DataFrame:
        keys: pd.DataFrame = self._data.decode(outputs)
        self._counts[1] += (~torch.isfinite(outputs.score)).sum()
        return keys.assign(rank=outputs.rank.cpu().numpy(), score=outputs.score.float().cpu().numpy())

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the parts."""
        assert self._file is not None
        self._leave_model()
        with full_disk_named(self.output):
            self._file.close()
            trainer.strategy.barrier("predictions")
            if trainer.is_global_zero:
                self._join(trainer.world_size)
        self._warn(*trainer.strategy.reduce(self._counts, reduce_op="sum").tolist())

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the part of this process."""
        self._leave_model()
        if self._file is not None:
            self._part(trainer.global_rank).unlink(missing_ok=True)

    def _leave_model(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _warn(self, rounded: int, not_finite: int) -> None:
        if rounded > 1 and not self.logits:
            rank_zero_warn(
                f"{rounded} probabilities in {self.output} are rounded to 0 or 1 and say nothing of the order of their "
                "rows; --predict.logits true, PredictionWriter(logits=True) in Python, writes logits beside them"
            )
        if not_finite:
            rank_zero_warn(f"{not_finite} predictions in {self.output} are not finite: the model's logits overflow")

    def _columns(self, predicted: Tensor, name: str, name_of_task: str) -> dict[str, Any]:
        values = predicted.float().cpu().numpy()
        if values.ndim == 1:
            return {name: values}
        tasks = tuple(getattr(self._data, "tasks", ()))
        if len(tasks) != values.shape[1]:
            raise ValueError(
                f"the model predicts {values.shape[1]} tasks and the data has {len(tasks)} ({', '.join(tasks)}); "
                "predict with data that has the tasks that the model was trained on"
            )
        return dict(zip(map(name_of_task.format, tasks), values.T, strict=True))

    def _is_parquet(self) -> bool:
        return self.output.suffix == ".parquet"

    def _part(self, rank: int) -> Path:
        target = replaceable(self.output)
        return target.with_name(f".{target.name}.part{rank}.tmp")

    def _join(self, world_size: int) -> None:
        parts = [self._part(rank) for rank in range(world_size)]
        (ParquetFile if self._is_parquet() else CsvFile).join(parts, replaceable(self.output))


class _KeptLogits:
    """The logits that a model computes while a Trainer lets it predict a batch, until :meth:`close`."""

    def __init__(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        self._trainer, self._model = trainer, model
        self._step: Any = model.logit_step
        self._logit: Tensor | None = None
        # An attribute of the object is found before the method of its class.
        vars(model)["logit_step"] = self._keep

    def _keep(self, batch: Any) -> Tensor:
        self._logit = self._step(batch)
        return self._logit

    def of(self, batch: Any) -> Tensor:
        """Return the logits of the batch that was predicted last, in single precision at least, in their shape."""
        if self._logit is None:
            # The model predicts without its logit_step.
            with self._trainer.precision_plugin.predict_step_context():
                self._keep(batch)
        logit, self._logit = self._logit, None
        assert logit is not None
        return at_least_single(logit.detach())

    def close(self) -> None:
        """Leave the model as it was."""
        vars(self._model).pop("logit_step", None)
