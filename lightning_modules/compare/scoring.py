"""What a model says of every row of a split."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed


class Scores(NamedTuple):
    """A model's probabilities, with what they are held against; all on the CPU, in the order of the rows.

    Attributes:
        probability: Predicted probability of label 1, float32 [n].
        label: 0 or 1, float32 [n].
        user: Index of the user, int64 [n]; the number of the row where rows have no user.
    """

    probability: Tensor
    label: Tensor
    user: Tensor


def scores(trainer: pl.Trainer, model: pl.LightningModule, loader: Iterable[Any]) -> Scores:
    """Return the model's probabilities of all rows of a loader, those of other processes included."""
    predicted: list[Any] = trainer.predict(model, dataloaders=loader) or []
    batches = list(loader)
    label = torch.cat([batch.label for batch in batches]).cpu()
    own = [torch.cat([each.float().cpu() for each in predicted]), label]
    if hasattr(batches[0], "user"):
        own.append(torch.cat([batch.user for batch in batches]).cpu())
    columns = [torch.cat(parts) for parts in zip(*_of_all_processes(own), strict=True)]
    return Scores(columns[0], columns[1], columns[2] if len(columns) > 2 else torch.arange(len(columns[0])))


def refuse_several_probabilities(model: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
    """Refuse a model that a comparison cannot score, before anything is trained.

    Raises:
        ValueError: If the model predicts more than one probability a row.
    """
    datamodule.prepare_data()
    datamodule.setup("validate")
    with torch.no_grad():
        predicted = model.eval().predict_step(next(iter(datamodule.val_dataloader())))
    if predicted.ndim != 1:
        raise ValueError(
            f"{type(model).__name__} predicts {predicted.shape[1]} probabilities a row, and a comparison takes models "
            "of one: compare the losses on a recommender, or on one task alone"
        )


def _of_all_processes(own: list[Tensor]) -> list[list[Tensor]]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    parts: list[list[Tensor]] = [own] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return parts
