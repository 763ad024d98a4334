"""The hyper-parameters of a fit in TensorBoard, beside its validation metric."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

_PLAIN = bool | int | float | str


class HyperParameters(pl.Callback):
    """Writes an entry of TensorBoard's page of hyper-parameters when a training starts.

    It has the model's hyper-parameters and the names of model and data; the metric is the model's
    ``validation_metric`` as its curve ends. Lightning's own entry would have a metric that is always -1, and how it
    builds a module.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the entry to every TensorBoard logger."""
        metric = getattr(pl_module, "validation_metric", None)
        data = getattr(trainer, "datamodule", None)
        if not metric or not trainer.is_global_zero:
            return
        # TensorBoard's writer takes a second to import.
        from torch.utils.tensorboard.summary import hparams

        names = {"model": type(pl_module).__name__, **({} if data is None else {"data": type(data).__name__})}
        entry = {**names, **dict(_flat(pl_module.hparams))}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                # The metric's value is what the curve of this name has; that here is not written.
                for summary in hparams(entry, {metric: 0.0}):
                    logger.experiment.file_writer.add_summary(summary)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Yield the plain values of a tree by their paths, except for notes of Lightning's and what is switched off."""
    for name, value in values.items():
        if str(name).startswith("_") or value is None or value is False:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if name == "init_args" else f"{prefix}{name}/")
        elif name == "class_path":
            yield prefix.rstrip("/") or "class", str(value).rpartition(".")[2]
        else:
            yield f"{prefix}{name}", value if isinstance(value, _PLAIN) else str(value)
