"""Impressions with labels for several tasks: from a table or a published split to loaders over in-memory tensors."""

from pathlib import Path
from typing import Self

import pandas as pd
import pytorch_lightning as pl
import torch

from datamodules.batches import ImpressionBatch
from datamodules.fingerprint import Values
from datamodules.impressions.category_mapper import CategoryMapper
from datamodules.impressions.encoding import Impressions, encode
from datamodules.impressions.leaks import warn_of_leaks
from datamodules.impressions.splits import RowNumbers, SplitRule
from datamodules.impressions.tasks import label_columns, task_columns, warn_of_assumed_funnel
from datamodules.in_memory import InMemoryDataModule
from datamodules.loader import BatchLoader
from datamodules.tables import Columns, find_tables, read_columns
from datamodules.tables.categories import concatenate
from datamodules.tables.splits import RATIOS

#: What the ids by which rows are grouped are called together.
_KEYS = {"session": "sessions", "user": "users"}


class ImpressionsDataModule(InMemoryDataModule[ImpressionBatch]):
    """Impressions with categorical fields, numerical features and 0/1 labels from CSV or Parquet tables.

    ``root`` is one table, or a folder with one table, which is then split; or a folder with ``NAME.train.csv``,
    ``NAME.validation.csv`` and ``NAME.test.csv``. Tables are read once, when first needed. Categories are numbered and
    features standardised by the training rows alone; a category that is missing or does not occur there has the index
    0, a missing number the mean. Before training, a warning names features with target leakage. Subclasses
    override ``read_impressions``.

    Args:
        root: The folder or table.
        categorical_columns: Columns of the fields, text or integers.
        numerical_columns: Columns of the features, numbers.
        tasks: Label columns (0 or 1), one a task; or for each task's name the columns that must all be 1.
        session_column: Column of the session ids, of which one that several users share is a session for each of them;
            None takes the user's, or else every row by itself.
        user_column: Column of the user ids; None takes the session's.
        item_column: Column of the item ids, for predictions alone; name it among the fields for a model to see it.
        time_column: Column of numbers or ISO 8601 dates: a table is split by it unless another option says how, and the
            rows of every split, so also those of a session, are ordered by it. None takes the order of the rows.
        split_column: Column of a single table that says ``train``, ``validation`` or ``test``.
        boundaries: First times of validation and test, instead of ``ratios``.
        ratios: Shares of training, validation and test rows in order of time; rows of one time stay together.
        tail_shares: For some fields the share of training rows whose categories, the rarest, share one index.
        category_mapper: JSON file of a category mapper to use; None fits one.
        funnel: Whether every task presupposes the one before, so that a row breaking that is counted in a warning.
        separator: What separates the fields of a CSV table; None takes it from the first line.
        batch_size: Training rows a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order; None takes torch's seed when training is set up.

    Raises:
        FileNotFoundError: When the data is first needed, if a table is missing.
        ValueError: If the options contradict each other; when the data is first needed, if a table cannot be used, or
            a split is empty.
    """

    def __init__(
        self,
        root: str,
        *,
        categorical_columns: list[str] | None = None,
        numerical_columns: list[str] | None = None,
        tasks: list[str] | dict[str, list[str]],
        session_column: str | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        time_column: str | None = None,
        split_column: str | None = None,
        boundaries: tuple[float | str, float | str] | None = None,
        ratios: tuple[float, float, float] = RATIOS,
        tail_shares: dict[str, float] | None = None,
        category_mapper: str | None = None,
        funnel: bool = False,
        separator: str | None = None,
        batch_size: int = 2048,
        eval_batch_size: int = 16384,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, seed=seed)
        self.root = Path(root)
        self.categorical_columns = list(categorical_columns or ())
        self.numerical_columns = list(numerical_columns or ())
        self.task_columns = task_columns(tasks)
        self.session_column = session_column
        self.user_column = user_column
        self.item_column = item_column
        self.split_rule = SplitRule(split_column, time_column, boundaries, ratios)
        self.tail_shares = tail_shares
        self.mapper_file = category_mapper
        self.funnel = funnel
        self.separator = separator
        self._checked = False
        if category_mapper is not None and tail_shares:
            raise ValueError(
                f"the category mapper {category_mapper} is used as it was fitted, so that the tail_shares "
                f"{tail_shares} have no meaning; leave one of them out"
            )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the labels."""
        return tuple(self.task_columns)

    @property
    def field_sizes(self) -> tuple[int, ...]:
        """Number of indices of each categorical field, that of unknown categories included."""
        return self.category_mapper.sizes

    @property
    def num_numerical(self) -> int:
        """Number of numerical features."""
        self._load()
        return len(self._standardizer.names)

    @property
    def category_mapper(self) -> CategoryMapper:
        """The indices of the categories, which can be saved."""
        self._load()
        return self._mapper

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the categorical fields and then of the numerical features."""
        return self.category_mapper.fields + self._standardizer.names

    def setup(self, stage: str | None = None) -> None:
        """Read the data if that has not been done, set the seed, and warn of doubtful data before training.

        Doubtful are features with target leakage, and rows that break the funnel of a model with ``assumes_funnel``.
        """
        super().setup(stage)
        if stage == "fit" and not self._checked:
            warn_of_leaks(self.rows["train"], self.rows["validation"], self.feature_names, self.tasks)
            self._warn_of_assumed_funnel(getattr(self.trainer, "lightning_module", None))
            self._checked = True

    def read_impressions(self) -> Impressions:
        """Read the table or tables and divide the rows.

        Raises:
            FileNotFoundError: If a table is missing.
            ValueError: If no column is a feature, or a table cannot be read or divided.
        """
        if not self.categorical_columns and not self.numerical_columns:
            raise ValueError(f"no column of {self.root} is a feature; name categorical_columns or numerical_columns")
        paths = find_tables(self.root)
        if len(paths) > 1:
            self.split_rule.refuse_options(self.root)
        tables = [read_columns(path, self._columns(), separator=self.separator) for path in paths]
        sizes = [len(table) for table in tables]
        table = concatenate(tables, paths)
        rows = self.split_rule.published(table, sizes) if len(sizes) > 1 else self.split_table(table)
        return self._impressions(table, rows)

    def split_table(self, table: pd.DataFrame) -> RowNumbers:
        """Return the numbers of each split's rows as the options say."""
        return self.split_rule.divide(table, self.root)

    def predict_dataloader(self) -> BatchLoader[ImpressionBatch]:
        """Return the test rows in their order."""
        return self.test_dataloader()

    def hold_out(self, share: float, seed: int) -> Self:
        """Return a copy that validates on a random share of the training rows, whose rows are numbered anew."""
        result = super().hold_out(share, seed)
        result.rows = {name: rows._replace(row=torch.arange(len(rows.row))) for name, rows in result.rows.items()}
        return result

    def decode(self, batch: ImpressionBatch) -> pd.DataFrame:
        """Return the original ids of a batch of test rows: ``session``, ``user``, ``item``, those that the data has.

        Rows of data without any of them are told by their number among the test rows, ``row``.
        """
        self._load()
        return self._keys.decode(batch)

    def column_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the fields, features and tasks."""
        return {"categorical": self._mapper.fields, "numerical": self._standardizer.names, "label": self.tasks}

    def value_names(self) -> dict[str, Values]:
        """Return the categories of every field, the ids of sessions and users, and every feature's scale."""
        fields = self._mapper.state_dict()["fields"]
        scales = zip(self._standardizer.means, self._standardizer.deviations, strict=True)
        return {
            **{f"categories of {field}": [*indices, *indices.values()] for field, indices in fields.items()},
            **{_KEYS[name]: ids for name, ids in self._keys.ids.items()},
            **{f"scales of {name}": scale for name, scale in zip(self._standardizer.names, scales, strict=True)},
        }

    def key_names(self) -> list[str]:
        """Return what the ids of sessions and users are called: rows are grouped by them, and no model is given any."""
        return list(_KEYS.values())

    def load_rows(self) -> dict[str, ImpressionBatch]:
        """Read the tables and encode them."""
        self._mapper, self._standardizer, self._keys, rows = encode(
            self.read_impressions(),
            self.task_columns,
            self.root,
            funnel=self.funnel,
            tail_shares=self.tail_shares,
            mapper=CategoryMapper.load(self.mapper_file) if self.mapper_file else None,
        )
        return rows

    def _warn_of_assumed_funnel(self, model: pl.LightningModule | None) -> None:
        # With `funnel` the rows were counted when the data was read.
        if getattr(model, "assumes_funnel", False) and not self.funnel:
            labels = {name: rows.label for name, rows in self.rows.items()}
            warn_of_assumed_funnel(labels, self.tasks, type(model).__name__, self.root)

    def _columns(self) -> Columns:
        rule = self.split_rule
        keys = (self.session_column, self.user_column, self.item_column, rule.split_column)
        return Columns(
            keys=[key for key in keys if key is not None],
            categories=self.categorical_columns,
            numbers=self.numerical_columns,
            labels=label_columns(self.task_columns),
            times=[rule.time_column] if rule.time_column else [],
        )

    def _impressions(self, table: pd.DataFrame, rows: RowNumbers) -> Impressions:
        return Impressions(
            table,
            rows,
            self.categorical_columns,
            self.numerical_columns,
            self.session_column,
            self.user_column,
            self.item_column,
        )
