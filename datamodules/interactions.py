"""User-item-label data: from a table or a published split to loaders over in-memory tensors."""

import copy
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytorch_lightning as pl
import torch

from datamodules.batches import Batch, PairBatch, PredictionBatch
from datamodules.encoding import encode, hold_out
from datamodules.labels import read_interactions
from datamodules.layout import find_tables
from datamodules.loader import BatchLoader
from datamodules.pairs import PairLoader
from datamodules.reading import exact_integer_ids
from datamodules.splits import Splits, by_ratio, positive_leave_one_out


class InteractionsDataModule(pl.LightningDataModule):
    """Interactions of users with items, labelled 0 or 1, from CSV or Parquet tables.

    ``root`` is a folder with one published split (``NAME.train.csv``, ``NAME.validation.csv``, ``NAME.test.csv``), or
    one table, or a folder with one table, which is then split. Tables are read once, when first needed. Users and
    items that do not occur in the training rows have the index 0. Subclasses override ``read_splits``.

    Args:
        root: The folder or table.
        batch_size: Training rows, or pairs, a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order and of drawn negatives; None takes torch's seed when training is set up.
        user_column: Column of the user ids, text or integers.
        item_column: Column of the item ids, text or integers.
        label_column: Column of the labels, 0 or 1.
        rating_column: Column of ratings that the labels are made from instead.
        rating_threshold: The rating above which the label is 1.
        time_column: Column of numbers or ISO 8601 dates that the rows of a single table are split by.
        separator: What separates the fields; None takes it from the first line: tab, ``::``, semicolon or comma.
        split: How a single table is split: each user's last positives held out, or by ``ratios`` of all rows.
        ratios: Shares of training, validation and test rows.
        split_seed: Seed of a split by ratios without a time column, apart from ``seed``, so that runs with different
            seeds hold out the same rows.

    Raises:
        FileNotFoundError: When the data is first needed, if a table is missing.
        ValueError: When the data is first needed, if a table cannot be used, or a split is empty.
    """

    def __init__(
        self,
        root: str,
        *,
        batch_size: int = 1024,
        eval_batch_size: int = 16384,
        seed: int | None = None,
        user_column: str = "uid",
        item_column: str = "iid",
        label_column: str = "label",
        rating_column: str | None = None,
        rating_threshold: float = 3.0,
        time_column: str | None = None,
        separator: str | None = None,
        split: Literal["leave_one_out", "ratio"] = "ratio",
        ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.columns = {"user": user_column, "item": item_column}
        self.columns |= {"rating": rating_column} if rating_column else {"label": label_column}
        self.columns |= {"time": time_column} if time_column else {}
        self.rating_threshold = rating_threshold
        self.separator = separator
        self.split = split
        self.ratios = ratios
        self.split_seed = split_seed
        self.rows: dict[str, Batch] = {}
        self._order_seed = seed

    @property
    def num_users(self) -> int:
        """Number of user indices, that of unknown users included."""
        self._load()
        return len(self._users)

    @property
    def num_items(self) -> int:
        """Number of item indices, that of unknown items included."""
        self._load()
        return len(self._items)

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        """Read the tables if that has not been done, and settle the seed."""
        self._load()
        self._order_seed = torch.initial_seed() if self.seed is None else self.seed

    def read_splits(self) -> Splits:
        """Return the three tables, with the columns ``user``, ``item`` and ``label``."""
        tables = [
            read_interactions(path, self.columns, threshold=self.rating_threshold, separator=self.separator)
            for path in find_tables(self.root)
        ]
        tables = exact_integer_ids(tables)
        return Splits(*tables) if len(tables) > 1 else self.split_table(tables[0])

    def split_table(self, table: pd.DataFrame) -> Splits:
        """Split a single table as the options say."""
        if self.split == "leave_one_out":
            return positive_leave_one_out(table)
        return by_ratio(table, self.ratios, seed=self.split_seed)

    def train_dataloader(self) -> BatchLoader[Batch] | BatchLoader[PairBatch]:
        """Return the shuffled training rows; as pairs if the trainer's model says ``trains_on_pairs``."""
        rows = self._rows("train")
        seed = torch.initial_seed() if self._order_seed is None else self._order_seed
        # Overfitting a few batches, a debugging aid of the Trainer, needs the same ones in every epoch.
        shuffle = not getattr(self.trainer, "overfit_batches", 0)
        if getattr(getattr(self.trainer, "lightning_module", None), "trains_on_pairs", False):
            return PairLoader(rows, self.batch_size, num_items=self.num_items, seed=seed, shuffle=shuffle)
        return BatchLoader(rows, self.batch_size, shuffle=shuffle, seed=seed)

    def val_dataloader(self) -> BatchLoader[Batch]:
        """Return the validation rows in their order."""
        return BatchLoader(self._rows("validation"), self.eval_batch_size)

    def test_dataloader(self) -> BatchLoader[Batch]:
        """Return the test rows in their order."""
        return BatchLoader(self._rows("test"), self.eval_batch_size)

    def predict_dataloader(self) -> BatchLoader[PredictionBatch]:
        """Return the test rows in their order, with their numbers."""
        rows = self._rows("test")
        return BatchLoader(PredictionBatch(*rows, row=torch.arange(len(rows.user))), self.eval_batch_size)

    def hold_out(self, share: float, seed: int) -> "InteractionsDataModule":
        """Return a copy that validates on a random share of the training rows and trains on the rest.

        Indices, test rows and this data module stay as they are.

        Args:
            share: Share of the training rows to hold out.
            seed: Seed of the choice.

        Raises:
            ValueError: If one side would be empty, or the held-out rows have one label only.
        """
        kept, held_out = hold_out(self._rows("train"), share, seed)
        result = copy.copy(self)
        result.trainer = None
        result.rows = {**self.rows, "train": kept, "validation": held_out}
        return result

    def decode(self, batch: Batch | PredictionBatch) -> pd.DataFrame:
        """Return the original ids of a batch in the columns ``user`` and ``item``.

        Rows of ``predict_dataloader`` keep ids that training does not know; in other batches these are None.
        """
        self._load()
        if isinstance(batch, PredictionBatch):
            return self._test_ids.iloc[batch.row.cpu().numpy()].reset_index(drop=True)
        ids = {"user": self._users.decode(batch.user), "item": self._items.decode(batch.item)}
        return pd.DataFrame(ids).infer_objects()

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the training order, so that a resumed training goes on in the same order."""
        return {"seed": self._order_seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the seed of a checkpoint, unless the option ``seed`` names one."""
        self._order_seed = state_dict["seed"] if self.seed is None else self.seed

    def _rows(self, name: str) -> Batch:
        self._load()
        return self.rows[name]

    def _load(self) -> None:
        if self.rows:
            return
        self.prepare_data()
        splits = self.read_splits()
        self._users, self._items, self.rows = encode(splits, self.root)
        self._test_ids = splits.test[["user", "item"]].reset_index(drop=True)
