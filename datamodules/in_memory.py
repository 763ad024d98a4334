"""Base class of data modules that read a data set once and hold it in memory."""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from datamodules.batches import Batch, FeedbackRows, ImpressionBatch
from datamodules.fingerprint import Fingerprint, Values
from datamodules.loader import BatchLoader, shared_seed
from datamodules.same_data import refuse_other_names, refuse_other_rows

_CHECKPOINT = "the training of this checkpoint"

HeldRows = TypeVar("HeldRows", Batch, ImpressionBatch, FeedbackRows)
LabelledRows = TypeVar("LabelledRows", Batch, ImpressionBatch)


class InMemoryDataModule(pl.LightningDataModule, ABC, Generic[HeldRows]):
    """Reads its data when it is first needed, keeps the rows of every split, and hands out their loaders.

    Args:
        batch_size: Training rows a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order; None takes torch's seed when training is set up.
    """

    def __init__(self, *, batch_size: int, eval_batch_size: int, seed: int | None) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.rows: dict[str, HeldRows] = {}
        self._order_seed = seed
        self._fingerprint: tuple[dict[str, HeldRows], Fingerprint] | None = None

    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Keep the arguments, which a configuration file of the same data needs."""
        made = super().__new__(cls)
        made._given = arguments, options
        return made

    def given_arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, as far as they were given."""
        arguments, options = self._given
        return dict(inspect.signature(type(self)).bind(*arguments, **options).arguments)

    def __str__(self) -> str:
        """Return the class's name; Lightning's default asks loaders for lengths that named tuples do not have."""
        return type(self).__name__

    @abstractmethod
    def load_rows(self) -> dict[str, HeldRows]:
        """Read the data and return the rows of "train", "validation" and "test"."""

    def column_names(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the columns of those tensors of the rows that have several, by the tensor's name."""
        return {}

    def value_names(self) -> Mapping[str, Values]:
        """Return the values that indices stand for, such as user ids, in the order of the indices."""
        return {}

    def key_names(self) -> Collection[str]:
        """Return those names of ``value_names`` whose values no model is given, so that it can be used with others."""
        return ()

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the rows, their order and their split."""
        self._load()
        if self._fingerprint is None or self._fingerprint[0] is not self.rows:
            values, keys = self.value_names(), self.key_names()
            self._fingerprint = self.rows, Fingerprint.of(self.rows, self.column_names(), values, keys)
        return self._fingerprint[1]

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        """Read the data if that has not been done, and settle the seed."""
        self._load()
        self._order_seed = shared_seed(self.trainer) if self.seed is None else self.seed

    def train_dataloader(self) -> BatchLoader[Any]:
        """Return the training rows, in another order every epoch."""
        return BatchLoader(self._rows("train"), self.batch_size, **self._order())

    def val_dataloader(self) -> BatchLoader[HeldRows]:
        """Return the validation rows in their order."""
        return BatchLoader(self._rows("validation"), self.eval_batch_size)

    def test_dataloader(self) -> BatchLoader[HeldRows]:
        """Return the test rows in their order."""
        return BatchLoader(self._rows("test"), self.eval_batch_size)

    def hold_out(self, share: float, seed: int) -> Self:
        """Return a copy that validates on a random share of the training rows and trains on the rest.

        Indices, test rows and this data module stay as they are.

        Args:
            share: Share of the training rows to hold out.
            seed: Seed of the choice.

        Raises:
            ValueError: If one side would be empty, or the held-out rows have one label only (in any of several tasks).
        """
        kept, held_out = self.divide(self._rows("train"), share, seed)
        result = copy.copy(self)
        result.trainer = None
        result.rows = {**self.rows, "train": kept, "validation": held_out}
        return result

    def divide(self, rows: HeldRows, share: float, seed: int) -> tuple[HeldRows, HeldRows]:
        """Return rows [n] without a random share of them, and that share; errors as for :meth:`hold_out`."""
        return hold_out(cast(Any, rows), share, seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the training order and the fingerprint, for a training that is resumed."""
        return {"seed": self._order_seed, "data": self.fingerprint().plain()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the seed of a checkpoint, unless the option ``seed`` names one.

        Raises:
            ValueError: If a training is to go on that was begun with other rows; if a model is to be used whose users,
                items or categories have other numbers here.
        """
        before = state_dict.get("data")
        if self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            refuse_other_rows(before, self, _CHECKPOINT, "leave --ckpt_path out to train from the start")
        else:
            refuse_other_names(before, self, _CHECKPOINT)
        self._order_seed = state_dict["seed"] if self.seed is None else self.seed

    def _order(self) -> dict[str, Any]:
        # Overfitting a few batches, a debugging aid of the Trainer, needs the same ones in every epoch.
        shuffle = not getattr(self.trainer, "overfit_batches", 0)
        return {"shuffle": shuffle, "seed": shared_seed(self.trainer) if self._order_seed is None else self._order_seed}

    def _rows(self, name: str) -> HeldRows:
        self._load()
        return self.rows[name]

    def _load(self) -> None:
        if not self.rows:
            self.prepare_data()
            self.rows = self.load_rows()


def hold_out(rows: LabelledRows, share: float, seed: int) -> tuple[LabelledRows, LabelledRows]:
    """Return the rows [n] without a random share of them, and that share, both in the order of the rows.

    Raises:
        ValueError: If one side would be empty, or all rows or the held-out ones have one label only (in any of several
            tasks).
    """
    total, size = len(rows.label), round(share * len(rows.label))
    if not 0 < size < total:
        raise ValueError(f"holding out {share} of {total} training rows leaves one side empty; choose another share")
    _refuse_single_label(rows.label, f"all {total} training rows", "add rows with the other label")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    held_out, kept = (_take(rows, part) for part in order.split([size, total - size]))
    _refuse_single_label(held_out.label, f"the {size} held-out rows all", "hold out a larger share")
    return kept, held_out


def _take(rows: LabelledRows, places: Tensor) -> LabelledRows:
    ordered, _ = places.sort()
    return type(rows)(*(column[ordered] for column in rows))


def _refuse_single_label(label: Tensor, rows: str, remedy: str) -> None:
    labels = label.reshape(len(label), -1)
    constant = (labels == labels[0]).all(dim=0)
    if constant.any():
        one = f"{labels[0, constant][0]:.0f}" + (" in one task" if len(constant) > 1 else "")
        raise ValueError(f"{rows} have label {one}, so that no AUC can be measured on them; {remedy}")
