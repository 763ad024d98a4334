"""Scores of the rows of a split: predicted, saved and loaded."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile, is_zipfile

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.training.batch_labels import label_of, refuse_other_labels
from lightning_modules.training.predicted_columns import predicted_columns
from lightning_modules.utilities.files import load_arrays, save_arrays


class Scores(NamedTuple):
    """A model's scores of rows with their labels and users; all on the CPU, in the order of the rows.

    Where a model ranks a catalogue, a row is a user: its score is a ranking metric, its label the number of its items.

    Attributes:
        score: The logit of label 1, float [n]; what ``predict_step`` returns of a model that has no ``logit_step``.
        label: 0 or 1, float32 [n].
        user: Index of the user, int64 [n]; the number of the row where rows have no user.
    """

    score: Tensor
    label: Tensor
    user: Tensor


def scores(trainer: pl.Trainer, model: pl.LightningModule, loader: Iterable[Any]) -> Scores:
    """Return the model's scores of all rows of a loader, those of other processes included.

    Raises:
        ValueError: If the loader shuffles its rows, its batches do not say what their labels are, or one is neither 0
            nor 1.
    """
    # Rounded probabilities would tie.
    columns = predicted_columns(trainer, model, loader, getattr(model, "logit_step", None), _labels_and_users)
    refuse_other_labels(columns[1])
    return Scores(columns[0], columns[1], columns[2] if len(columns) > 2 else torch.arange(len(columns[0])))


def _labels_and_users(batch: Any) -> list[Tensor]:
    return [label_of(batch), *([batch.user] if hasattr(batch, "user") else [])]


def user_values(
    trainer: pl.Trainer, model: pl.LightningModule, loader: Iterable[Any], step: Callable[[Any], Tensor]
) -> Scores:
    """Return a ranking metric of all users of a loader who have relevant items, those of other processes included.

    Args:
        trainer: The Trainer.
        model: The model.
        loader: Yields blocks of users, a ``CatalogueBatch`` each.
        step: Returns the metric of every user of a block with the model, float [users].

    Returns:
        The metric as the score, and the number of relevant items as the label of every user.

    Raises:
        ValueError: If the loader shuffles its users.
    """
    value, count, user = predicted_columns(trainer, model, loader, step, _relevant_and_users)
    kept = count > 0
    return Scores(value[kept], count[kept].float(), user[kept])


def _relevant_and_users(batch: Any) -> list[Tensor]:
    return [torch.bincount(batch.relevant[0], minlength=len(batch.user)), batch.user]


def refuse_rounded(paths: Iterable[Path]) -> None:
    """Refuse, before anything is trained, files that :func:`load_scores` would refuse after it.

    Raises:
        ValueError: If a file holds an earlier version's probabilities, and some were rounded to 0 or 1.
    """
    for path in paths:
        if is_zipfile(path):
            with ZipFile(path) as file:
                names = file.namelist()
            if "test.npy" in names:
                load_scores(path, "test")


def save_scores(path: Path, scores: Mapping[str, Tensor]) -> None:
    """Write scores by the name of their split, for :func:`load_scores`."""
    save_arrays(path, {f"{split}_score": score.numpy() for split, score in scores.items()})


def load_scores(path: Path, split: str) -> Tensor:
    """Return the scores of a split; of probabilities, which earlier versions wrote, the logits.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or holds probabilities that were rounded to 0 or 1 and so rank nothing.
    """
    arrays = load_arrays(path)
    if f"{split}_score" in arrays:
        return torch.from_numpy(arrays[f"{split}_score"])
    if split not in arrays:
        raise ValueError(f"{path} holds no scores of the {split} rows; name another folder")
    probability = torch.from_numpy(arrays[split]).double()
    rounded = int(((probability <= 0) | (probability >= 1)).sum())
    if rounded:
        raise ValueError(
            f"{path} holds probabilities, as an earlier version wrote them, and {rounded} of them were rounded to 0 or "
            "1, so that they rank nothing: begin again in another folder"
        )
    return torch.logit(probability)
