"""AliExpress search logs in the processed layout: anonymous fields, click and conversion."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.impressions.encoding import Impressions
from datamodules.impressions.published import PublishedImpressions
from datamodules.tables import Columns, column_names, matching_tables, read_columns
from datamodules.tables.categories import codes_of, concatenate

_CATEGORICAL = re.compile(r"categorical_\d+")
_NUMERICAL = re.compile(r"numerical_\d+")
_SESSION = "search_id"


class AliExpress(PublishedImpressions):
    """AliExpress searches in the processed layout of MTReclib: ``search_id``, fields, features, click, conversion.

    Li et al., "Improving Multi-Scenario Learning to Rank in E-commerce by Exploiting Task Relationships in the Label
    Space", CIKM 2020, https://doi.org/10.1145/3340531.3412713; the layout with a file to train and one to test on is
    that of https://github.com/easezyc/Multitask-Recommendation-Library. ``root`` holds ``*train*.csv`` and
    ``*test*.csv``; the last part of the training file, whose rows have no times, is for validation. A search is not
    divided between the two. Fields are all columns ``categorical_1``, ... and features all ``numerical_1``, ....

    Args:
        root: Folder of the two tables.
        validation_share: Share of the training file's rows that are for validation.
        options: The options of :class:`PublishedImpressions`.

    Raises:
        FileNotFoundError: When the data is first needed, if a table is missing.
        ValueError: If the share lies outside (0, 1); when the data is first needed, if a table cannot be used.
    """

    def __init__(
        self,
        root: str,
        *,
        validation_share: float = 0.1,
        **options: Any,
    ) -> None:
        layout = {"tasks": ["click", "conversion"], "session_column": _SESSION, "funnel": True}
        super().__init__(root, layout, **options)
        if not 0 < validation_share < 1:
            raise ValueError(f"validation_share must lie between 0 and 1, got {validation_share}")
        self.validation_share = validation_share

    def read_impressions(self) -> Impressions:
        """Read the two files and take the end of the first for validation."""
        paths = [matching_tables(self.root, f"*{part}*.csv", at_most=1)[0] for part in ("train", "test")]
        self.categorical_columns, self.numerical_columns = _features(paths[0])
        columns = Columns([_SESSION], self.categorical_columns, self.numerical_columns, self.tasks)
        tables = [read_columns(path, columns) for path in paths]
        cut = _cut(codes_of(tables[0][_SESSION]), 1 - self.validation_share)
        train, total = len(tables[0]), len(tables[0]) + len(tables[1])
        rows = {"train": np.arange(cut), "validation": np.arange(cut, train), "test": np.arange(train, total)}
        return self._impressions(concatenate(tables, paths), rows)


def _features(path: Path) -> tuple[list[str], list[str]]:
    names = list(dict.fromkeys(column_names(path)))
    found = [[name for name in names if pattern.fullmatch(name)] for pattern in (_CATEGORICAL, _NUMERICAL)]
    if not any(found):
        raise ValueError(f"{path} has no columns categorical_1, ... or numerical_1, ...; its columns are {names}")
    return found[0], found[1]


def _cut(session: np.ndarray, share: float) -> int:
    """Return how many of the first rows to train on: about that share, up to the end of a session."""
    cut = round(share * len(session))
    others = np.flatnonzero(session[cut:] != session[max(cut - 1, 0)])
    return cut + int(others[0]) if len(others) else len(session)
