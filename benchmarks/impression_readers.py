"""Two ways to read a table of impressions, and what they cost the process that they run in."""

import logging
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from benchmarks.impression_table import FEATURES, FIELDS, SESSION, TASKS, TIME
from datamodules import ImpressionsDataModule

_SHARES = (0.8, 0.1, 0.1)


class Reading(NamedTuple):
    """What one reading took.

    Attributes:
        seconds: Wall time.
        peak: Highest resident memory less that before the reading, in bytes.
        arrays: Bytes of the tensors that are kept.
        texts: Bytes of the ids and categories that are kept.
        content: What identifies the tensors, whatever the numbers of their categories: rows, labels and categories.
    """

    seconds: float
    peak: float
    arrays: int
    texts: int
    content: tuple[int, ...]


def read_with_data_module(path: Path) -> Reading:
    """Read a table with the data module."""
    _settle()
    before, start = _resident("VmRSS"), time.perf_counter()
    data = ImpressionsDataModule(
        str(path),
        categorical_columns=list(FIELDS),
        numerical_columns=list(FEATURES),
        tasks=list(TASKS),
        session_column=SESSION,
        user_column="user",
        item_column="item",
        time_column=TIME,
        ratios=_SHARES,
    )
    data.setup()
    seconds, peak = time.perf_counter() - start, _resident("VmHWM") - before
    splits = [list(rows) for rows in data.rows.values()]
    arrays = sum(column.nbytes for columns in splits for column in columns)
    return Reading(seconds, peak, arrays, _texts(data), _content(splits))


def read_with_pandas(path: Path) -> Reading:
    """Read a table with ``pandas.read_csv`` and make the same tensors as one would without a library for it."""
    _settle()
    before, start = _resident("VmRSS"), time.perf_counter()
    splits = _split_with_pandas(pd.read_csv(path))
    seconds, peak = time.perf_counter() - start, _resident("VmHWM") - before
    arrays = sum(column.nbytes for columns in splits for column in columns)
    return Reading(seconds, peak, arrays, 0, _content(splits))


def _split_with_pandas(table: pd.DataFrame) -> list[list[Tensor]]:
    table = table.sort_values(TIME, kind="stable", ignore_index=True)
    cuts = np.rint(np.cumsum(_SHARES)[:2] * len(table)).astype(int)
    train = table.iloc[: cuts[0]]
    categorical = np.empty((len(table), len(FIELDS)), dtype=np.int64)
    for place, field in enumerate(FIELDS):
        # Categories that training does not know have the index 0.
        categorical[:, place] = pd.Index(train[field].unique()).get_indexer(table[field]) + 1
    features = list(FEATURES)
    numerical = (table[features] - train[features].mean()) / train[features].std(ddof=0)
    columns = [
        categorical,
        numerical.to_numpy(dtype=np.float32),
        table[list(TASKS)].to_numpy(dtype=np.float32),
        pd.factorize(table[SESSION])[0],
        pd.factorize(table["user"])[0],
        np.concatenate([np.arange(len(part)) for part in np.split(table.index, cuts)]),
    ]
    parts = zip(*(np.split(column, cuts) for column in columns), strict=True)
    return [[torch.from_numpy(column) for column in part] for part in parts]


def _settle() -> None:
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)


def _resident(entry: str) -> float:
    """Return an entry of Linux' account of this process' memory, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{entry}:"))
    return float(line.split()[1]) * 1024


def _texts(data: ImpressionsDataModule) -> int:
    """Return the bytes of the ids of sessions, users and items, and of the categories with their indices."""
    keys, fields = data._keys, data.category_mapper.state_dict()["fields"].values()
    tables = [*keys.ids.values(), *([] if keys.test_items is None else [keys.test_items])]
    ids = sum(int(np.sum(each.memory_usage(deep=True))) for each in tables)
    return ids + sum(sys.getsizeof(indices) + _sizes(indices) + _sizes(indices.values()) for indices in fields)


def _sizes(objects: Iterable[object]) -> int:
    return sum(sys.getsizeof(each) for each in objects)


def _content(splits: list[list[Tensor]]) -> tuple[int, ...]:
    sums = [
        value
        for categorical, _, label, session, user, row in splits
        for value in (len(row), *label.sum(0).tolist(), *(categorical == 0).sum(0).tolist(), _distinct(session, user))
    ]
    return (*(int(value) for value in sums), *(int(each) for each in splits[0][0].amax(0)))


def _distinct(session: Tensor, user: Tensor) -> int:
    return len(session.unique()) + len(user.unique())
