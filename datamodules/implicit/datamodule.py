"""Implicit feedback: from published splits or a table to items with negatives, and to users with catalogues."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info

from datamodules.batches import FeedbackRows, RecommendationBatch, TopNBatch
from datamodules.fingerprint import Values
from datamodules.implicit.division import SHARE, Division
from datamodules.implicit.encoding import Repeated, encode, say_unknown, without_repeated
from datamodules.implicit.layouts import FeedbackTables, TableOptions, find_splits, is_item_lists, read_table
from datamodules.implicit.loaders import CatalogueLoader, PositiveBatch, PositiveLoader
from datamodules.implicit.negatives import Negatives, UniformNegatives
from datamodules.implicit.splits import hold_out_of_each
from datamodules.implicit.user_items import UserItems
from datamodules.in_memory import InMemoryDataModule
from datamodules.interactions.reading import exact_integer_ids
from datamodules.loader import BatchLoader
from datamodules.tables.splits import RATIOS, refuse_empty_splits, refuse_without_effect

_THRESHOLD = 3.0
_MASKS = {
    "training": "items of training are not recommended, those of validation are and count as misses",
    "all": "items of training and of validation are not recommended",
}


class ImplicitFeedback(InMemoryDataModule[FeedbackRows]):
    """Items that users chose, to train and test top-N recommendation on.

    ``root`` is a folder with a published split, ``train`` and ``test``, perhaps ``valid``: each a text file of a line
    ``user item item ...`` for every user (``train.txt``, as LightGCN's data sets are published), or a table of pairs
    (``train.tsv``, ``.csv``, ``.parquet``); or it is what ``InteractionsDataModule`` takes, three tables or a single
    one to be split. The items of all splits are the catalogue; users and items are numbered from 0, by their ids.

    Args:
        root: The folder or table.
        negatives: Where the negatives of training come from; None takes ``UniformNegatives``.
        batch_size: Training rows a batch and process.
        eval_batch_size: Users a block and process in validation, test and prediction. A block's scores take 4 bytes for
            each user and item.
        seed: Seed of the training order and of the negatives; None takes torch's seed when training is set up.
        user_column: Column of the user ids, text or integers; None takes the first column.
        item_column: Column of the item ids, text or integers; None takes the first column but that of the users.
        label_column: Column of labels; rows with label 0 are left out. None takes all rows.
        rating_column: Column of ratings, of which those above the threshold are taken instead.
        rating_threshold: The rating above which an item counts as chosen.
        time_column: Column of numbers or ISO 8601 dates that order the rows of a single table.
        separator: What separates the fields; None takes it from the first line: tab, ``::``, semicolon or comma.
        header: The names of the columns of tables whose first line does not name them.
        split: How a single table is split: each user's rows by ``ratios``, at random or by time; all rows by ``ratios``
            in order of time; or each user's last row for test and the one before for validation.
        ratios: Shares of training, validation and test rows.
        validation_share: Share of each user's training rows that are taken for validation, at least one, where a
            published split has no validation rows.
        split_seed: Seed of what is split at random, apart from ``seed``, so that runs with different seeds hold out the
            same rows.
        mask: Whether the test masks the items of training, as in most published tables, or those of validation, too.
        repeated: Whether held-out rows that an earlier split has, too, are refused, removed, or kept and counted.

    Raises:
        FileNotFoundError: When the data is first needed, if a file is missing.
        ValueError: When the data is first needed, if a file cannot be used, or a split is empty.
    """

    def __init__(
        self,
        root: str,
        *,
        negatives: Negatives | None = None,
        batch_size: int = 1024,
        eval_batch_size: int = 512,
        seed: int | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        label_column: str | None = None,
        rating_column: str | None = None,
        rating_threshold: float = _THRESHOLD,
        time_column: str | None = None,
        separator: str | None = None,
        header: list[str] | None = None,
        split: Literal["ratio", "time", "leave_one_out"] = "ratio",
        ratios: tuple[float, float, float] = RATIOS,
        validation_share: float = SHARE,
        split_seed: int = 0,
        mask: Literal["training", "all"] = "training",
        repeated: Repeated = "refuse",
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, seed=seed)
        self.root = Path(root)
        self.negatives = UniformNegatives() if negatives is None else negatives
        named = {"user": user_column, "item": item_column, "label": label_column, "rating": rating_column}
        columns = {role: name for role, name in (named | {"time": time_column}).items() if name is not None}
        self.tables = TableOptions(columns, rating_threshold, separator, header)
        self.division = Division(split, ratios, validation_share, split_seed, has_time=time_column is not None)
        self.mask = mask
        self.repeated: Repeated = repeated
        self._training: tuple[FeedbackRows, UserItems] | None = None

    @property
    def num_users(self) -> int:
        """Number of users."""
        self._load()
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items of the catalogue."""
        self._load()
        return len(self.item_ids)

    def items_of_training(self) -> UserItems:
        """Return the items that users have in training."""
        rows = self._rows("train")
        if self._training is None or self._training[0] is not rows:
            self._training = rows, self._items_of(rows)
        return self._training[1]

    def read_tables(self) -> FeedbackTables:
        """Return the rows as tables.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be used, or an option would have no effect.
        """
        self._refuse_idle_ratings()
        paths = find_splits(self.root)
        if any(is_item_lists(path) for path in paths.values()):
            given = {f"{role}_column": True for role in self.tables.columns}
            refuse_without_effect(given, f"{self.root} holds lists of items, which have no columns")
        tables = exact_integer_ids([read_table(path, self.tables) for path in paths.values()])
        return FeedbackTables(**dict(zip(paths, tables, strict=True)))

    def load_rows(self) -> dict[str, FeedbackRows]:
        """Read the tables, number users and items, and split the rows."""
        read = self.read_tables()
        tables = {name: table for name, table in read._asdict().items() if table is not None}
        self.division.refuse_idle(tables, self.root)
        refuse_empty_splits({name: len(table) for name, table in tables.items()}, self.root)
        if "time" in read.train:
            tables["train"] = read.train.sort_values("time", kind="stable")
        self.user_ids, self.item_ids, rows = encode(tables, self.root)
        if "test" in rows:
            masks_validation = self.mask == "all"
            rows = without_repeated(rows, self.repeated, self.root, masks_validation=masks_validation)
            rows = self.division.with_validation(rows)
        else:
            rows = self.division.of_table(rows["train"], self.root)
        sizes = ", ".join(f"{len(each.user):,} {name}" for name, each in rows.items())
        rank_zero_info(f"{self.root}: {len(self.user_ids):,} users, {len(self.item_ids):,} items; {sizes} rows")
        say_unknown(rows, self.root)
        return rows

    def train_dataloader(self) -> PositiveLoader | BatchLoader[FeedbackRows]:
        """Return the shuffled training rows, which ``on_after_batch_transfer`` gives negatives.

        To a model that says ``trains_on_all_rows`` they are one batch without negatives.
        """
        if self._trains_on_all_rows():
            return BatchLoader(self._rows("train"), len(self._rows("train").user))
        rows, items = self._rows("train"), self.items_of_training()
        self._say_repeated_negatives(items)
        kept = self.negatives.serves(items)[rows.user]
        if not kept.any():
            raise ValueError(
                f"every user of the training rows of {self.root} has all items that negatives are drawn from, of "
                f"{self.num_items}; give rows of more items"
            )
        return PositiveLoader(FeedbackRows(*(column[kept] for column in rows)), self.batch_size, **self._order())

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ARG002 (Lightning's signature)
        """Draw the negatives of a training batch on its device; other batches stay as they are."""
        return self.with_negatives(batch) if isinstance(batch, PositiveBatch) else batch

    def with_negatives(self, batch: PositiveBatch) -> TopNBatch:
        """Return training rows with their negatives, which the batch's seed decides."""
        items = self.items_of_training().to(batch.user.device)
        generator = torch.Generator(batch.user.device).manual_seed(batch.seed)
        return self.negatives.draw(batch.user, batch.item, items, generator)

    def val_dataloader(self) -> CatalogueLoader:
        """Return the users with validation rows; their training items are masked."""
        return self._catalogues("validation", self._rows("train"))

    def test_dataloader(self) -> CatalogueLoader:
        """Return the users with test rows; what is masked the option ``mask`` says."""
        rank_zero_info(f"In the test {_MASKS[self.mask]} (mask: {self.mask})")
        return self._catalogues("test", self._masked())

    def predict_dataloader(self) -> CatalogueLoader:
        """Return all users, with the items that the test masks and those that are relevant in the test."""
        relevant = self._items_of(self._rows("test"))
        user = torch.arange(self.num_users)
        return CatalogueLoader(user, self.eval_batch_size, seen=self._items_of(self._masked()), relevant=relevant)

    def decode(self, batch: RecommendationBatch) -> pd.DataFrame:
        """Return the original ids of recommendations in the columns ``user`` and ``item``."""
        self._load()
        ids = {"user": (self.user_ids, batch.user), "item": (self.item_ids, batch.item)}
        return pd.DataFrame({name: np.asarray(known)[index.cpu().numpy()] for name, (known, index) in ids.items()})

    def value_names(self) -> Mapping[str, Values]:
        """Return the ids of the users and of the items."""
        return {"users": self.user_ids, "items": self.item_ids}

    def divide(self, rows: FeedbackRows, share: float, seed: int) -> tuple[FeedbackRows, FeedbackRows]:
        """Return the rows without a random share of every user's, at least one, and that share."""
        return hold_out_of_each(rows, share, seed)

    def _trains_on_all_rows(self) -> bool:
        return bool(getattr(getattr(self.trainer, "lightning_module", None), "trains_on_all_rows", False))

    def _catalogues(self, split: str, masked: FeedbackRows) -> CatalogueLoader:
        relevant = self._items_of(self._rows(split))
        user = relevant.count.nonzero().squeeze(1)
        return CatalogueLoader(user, self.eval_batch_size, seen=self._items_of(masked), relevant=relevant)

    def _masked(self) -> FeedbackRows:
        train, validation = self._rows("train"), self._rows("validation")
        if self.mask == "training":
            return train
        return FeedbackRows(*(torch.cat(columns) for columns in zip(train, validation, strict=True)))

    def _items_of(self, rows: FeedbackRows) -> UserItems:
        return UserItems.of(*rows, len(self.user_ids), len(self.item_ids))

    def _say_repeated_negatives(self, items: UserItems) -> None:
        count, fewest = self.negatives.count or 0, int(items.count_outside.clamp(min=1).min())
        if count > fewest:
            user = self.user_ids[int(items.count_outside.clamp(min=1).argmin())]
            rank_zero_info(
                f"{count} negatives a row are more than the {fewest} items that user '{user}' does not have, so that "
                "some occur several times"
            )

    def _refuse_idle_ratings(self) -> None:
        if "rating" not in self.tables.columns:
            refuse_without_effect(
                {"rating_threshold": self.tables.threshold != _THRESHOLD}, "no rating_column is named"
            )
        elif "label" in self.tables.columns:
            raise ValueError("label_column and rating_column both say which rows count as chosen; name one of them")
