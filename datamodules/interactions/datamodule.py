"""User-item-label data: from a table or a published split to loaders over in-memory tensors."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from datamodules.batches import Batch, PairBatch, PredictionBatch
from datamodules.fingerprint import Values
from datamodules.implicit.loaders import CatalogueLoader
from datamodules.in_memory import InMemoryDataModule
from datamodules.interactions.catalogues import catalogue_loader
from datamodules.interactions.encoding import encode, warn_of_single_label
from datamodules.interactions.pairs import PairLoader
from datamodules.interactions.reading import exact_integer_ids, read_interactions
from datamodules.loader import BatchLoader
from datamodules.tables import find_tables
from datamodules.tables.splits import RATIOS, Splits, by_ratio, positive_leave_one_out, refuse_without_effect

_LABEL = "label"
_THRESHOLD = 3.0


class InteractionsDataModule(InMemoryDataModule[Batch]):
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
        label_column: str = _LABEL,
        rating_column: str | None = None,
        rating_threshold: float = _THRESHOLD,
        time_column: str | None = None,
        separator: str | None = None,
        split: Literal["leave_one_out", "ratio"] = "ratio",
        ratios: tuple[float, float, float] = RATIOS,
        split_seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, seed=seed)
        self.root = Path(root)
        self.columns = {"user": user_column, "item": item_column}
        self._label_column_given = label_column != _LABEL
        self.columns |= {"rating": rating_column} if rating_column else {"label": label_column}
        self.columns |= {"time": time_column} if time_column else {}
        self.rating_threshold = rating_threshold
        self.separator = separator
        self.split = split
        self.ratios = ratios
        self.split_seed = split_seed
        self._checked = False
        self._catalogues: dict[str, tuple[dict[str, Batch], CatalogueLoader]] = {}

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

    def setup(self, stage: str | None = None) -> None:
        """Read the data if needed, set the seed, and warn of training rows that all have one label."""
        super().setup(stage)
        if stage == "fit" and not self._checked:
            if not self._trains_on_pairs():
                warn_of_single_label("train", self.rows["train"], self.root)
            self._checked = True

    def read_splits(self) -> Splits:
        """Return the three tables, with the columns ``user``, ``item`` and ``label``.

        Raises:
            FileNotFoundError: If a table is missing.
            ValueError: If a table cannot be read or divided, or an option would have no effect.
        """
        self._refuse_idle_labels()
        paths = find_tables(self.root)
        if len(paths) > 1:
            self._refuse_rules_of_division()
        tables = [
            read_interactions(path, self.columns, threshold=self.rating_threshold, separator=self.separator)
            for path in paths
        ]
        tables = exact_integer_ids(tables)
        return Splits(*tables) if len(tables) > 1 else self.split_table(tables[0])

    def split_table(self, table: pd.DataFrame) -> Splits:
        """Split a single table as the options say.

        Raises:
            ValueError: If the ratios are none, or an option would have no effect.
        """
        if self.split == "leave_one_out":
            given = {"ratios": tuple(self.ratios) != RATIOS, "split_seed": self.split_seed != 0}
            refuse_without_effect(given, "split leave_one_out divides the rows")
            return positive_leave_one_out(table)
        refuse_without_effect({"split_seed": "time" in table and self.split_seed != 0}, "time divides the rows")
        return by_ratio(table, self.ratios, seed=self.split_seed)

    def train_dataloader(self) -> BatchLoader[Batch] | BatchLoader[PairBatch]:
        """Return the shuffled training rows; as pairs if the trainer's model says ``trains_on_pairs``."""
        if self._trains_on_pairs():
            return PairLoader(self._rows("train"), self.batch_size, num_items=self.num_items, **self._order())
        return super().train_dataloader()

    def predict_dataloader(self) -> BatchLoader[PredictionBatch]:
        """Return the test rows in their order, with their numbers."""
        rows = self._rows("test")
        return BatchLoader(PredictionBatch(*rows, row=torch.arange(len(rows.user))), self.eval_batch_size)

    def catalogues(self, split: str) -> CatalogueLoader:
        """Return the users of a held-out split to be ranked all items for; see :func:`catalogue_loader`.

        Args:
            split: "validation" or "test".

        Raises:
            ValueError: If none of its rows can be found in the catalogue.
        """
        train, held_out = self._rows("train"), self._rows(split)
        rows, loader = self._catalogues.get(split, (None, None))
        if loader is None or rows is not self.rows:
            loader = catalogue_loader(train, held_out, self.num_users, self.num_items)
            self._catalogues[split] = self.rows, loader
        return loader

    def decode(self, batch: Batch | PredictionBatch) -> pd.DataFrame:
        """Return the original ids of a batch in the columns ``user`` and ``item``.

        Rows of ``predict_dataloader`` keep ids that training does not know; in other batches these are None.
        """
        self._load()
        if isinstance(batch, PredictionBatch):
            rows = self._test_ids.iloc[batch.row.cpu().numpy()]
            return pd.DataFrame({name: np.asarray(ids) for name, ids in rows.items()}).infer_objects()
        ids = {"user": self._users.decode(batch.user), "item": self._items.decode(batch.item)}
        return pd.DataFrame(ids).infer_objects()

    def value_names(self) -> dict[str, Values]:
        """Return the ids of the users and of the items."""
        return {"users": self._users.ids, "items": self._items.ids}

    def load_rows(self) -> dict[str, Batch]:
        """Read the tables and encode them."""
        splits = self.read_splits()
        self._users, self._items, rows = encode(splits, self.root)
        self._test_ids = splits.test[["user", "item"]].reset_index(drop=True)
        return rows

    def _trains_on_pairs(self) -> bool:
        return bool(getattr(getattr(self.trainer, "lightning_module", None), "trains_on_pairs", False))

    def _refuse_rules_of_division(self) -> None:
        given = {
            "time_column": "time" in self.columns,
            "split": self.split != "ratio",
            "ratios": tuple(self.ratios) != RATIOS,
            "split_seed": self.split_seed != 0,
        }
        refuse_without_effect(given, f"{self.root} holds a split of three tables")

    def _refuse_idle_labels(self) -> None:
        if "rating" in self.columns:
            refuse_without_effect(
                {"label_column": self._label_column_given},
                f"the labels are made of the rating_column {self.columns['rating']}",
            )
        else:
            refuse_without_effect(
                {"rating_threshold": self.rating_threshold != _THRESHOLD},
                f"the labels are those of the label_column {self.columns['label']} and no rating_column is named",
            )
