"""Two ways to read a table of impressions, and what they cost the process that they run in."""

import argparse
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from benchmarks.common.impression_table import FEATURES, FIELDS, SESSION, TASKS, TIME, write_table
from benchmarks.common.report import table, write_report
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


LARGEST_RATIO = 3.0
_READERS = (read_with_data_module, read_with_pandas)
_MB = 1e6

#: For every number of rows the readings in pairs: those of the data module, and those of pandas right before or after.
Pairs = dict[int, list[tuple[Reading, Reading]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--folder", type=Path, help="where to write the tables for a while; None is the system's own")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs, sizes = {}, {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for rows in sorted(options.rows):
            path = Path(folder) / "impressions.csv"
            write_table(path, rows, options.seed)
            sizes[rows] = path.stat().st_size
            pairs[rows] = list(measure(path, options.repeats))
    write_report("impressions_reading", title="Reading impressions", parts=report(pairs, sizes))


def measure(path: Path, repeats: int) -> Iterator[tuple[Reading, Reading]]:
    """Read a table in pairs, taking turns in who is first.

    Raises:
        RuntimeError: If the two readers do not end with the same arrays.
    """
    for repeat in range(repeats):
        order = _READERS[:: -1 if repeat % 2 else 1]
        readings = {reader: _in_own_process(reader.__name__, path) for reader in order}
        ours, plain = (readings[reader] for reader in _READERS)
        if ours.content != plain.content:
            raise RuntimeError(f"the readers disagree, so they are not the same work: {ours.content}, {plain.content}")
        yield ours, plain


def _in_own_process(reader: str, path: Path) -> Reading:
    functions = {each.__name__: each for each in _READERS}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(functions[reader], path).result()


def report(pairs: Pairs, sizes: dict[int, int]) -> list[str]:
    """Return the tables and what they say."""
    largest = max(pairs)
    ratio = _peak(pairs, largest) / _arrays(pairs, largest)
    header = [
        "rows",
        "CSV",
        "seconds, median",
        "fastest to slowest",
        "rows a second",
        "peak",
        "arrays",
        "ids and texts",
    ]
    return [
        f"A table of {len(FIELDS)} categorical fields (ids as text and as integers, {min(FIELDS.values())} to "
        f"{max(FIELDS.values()):,} categories), {len(FEATURES)} features, {len(TASKS)} labels, session and time is "
        "read, split by time and encoded as int64 and float32 tensors. Peak: resident memory at its highest, less that "
        "after the imports; arrays: the tensors of all splits; ids and texts: those of sessions, users, items and "
        "categories, which are kept as well.",
        "## The data module",
        table([*header, "peak / all kept", "peak / arrays"], [_row(pairs, rows, sizes[rows]) for rows in pairs]),
        f"Required: a peak under {LARGEST_RATIO:.0f} times the arrays at {largest:,} rows; {ratio:.2f}, "
        f"{'reached' if ratio < LARGEST_RATIO else 'missed'}. {_growth(pairs)}",
        "## Against plain pandas",
        "`pandas.read_csv` of the whole table, categories by `unique` and `get_indexer`, the same arrays in the end. "
        "Ratios are of readings one right after the other.",
        table(
            ["rows", "seconds, median", "peak", "its time / the data module's", "its peak / the data module's"],
            [_plain_row(pairs, rows) for rows in pairs],
        ),
    ]


def _row(pairs: Pairs, rows: int, size: int) -> list[str]:
    seconds = [ours.seconds for ours, _ in pairs[rows]]
    peak, arrays, texts = _peak(pairs, rows), _arrays(pairs, rows), pairs[rows][0][0].texts
    return [
        f"{rows:,}",
        _megabytes(size),
        f"{statistics.median(seconds):.2f}",
        f"{min(seconds):.2f} to {max(seconds):.2f}",
        f"{rows / statistics.median(seconds):,.0f}",
        _megabytes(peak),
        _megabytes(arrays),
        _megabytes(texts),
        f"{peak / (arrays + texts):.2f}",
        f"{peak / arrays:.2f}",
    ]


def _plain_row(pairs: Pairs, rows: int) -> list[str]:
    of_time = [plain.seconds / ours.seconds for ours, plain in pairs[rows]]
    of_peak = [plain.peak / ours.peak for ours, plain in pairs[rows]]
    return [
        f"{rows:,}",
        f"{statistics.median(plain.seconds for _, plain in pairs[rows]):.2f}",
        _megabytes(statistics.median(plain.peak for _, plain in pairs[rows])),
        f"{statistics.median(of_time):.2f} ({min(of_time):.2f} to {max(of_time):.2f})",
        f"{statistics.median(of_peak):.2f} ({min(of_peak):.2f} to {max(of_peak):.2f})",
    ]


def _growth(pairs: Pairs) -> str:
    """Return what further rows cost between each two sizes: the same everywhere if all is linear."""
    said = []
    for fewer, more in pairwise(pairs):
        millions = (more - fewer) / 1e6
        seconds = (_seconds(pairs, more) - _seconds(pairs, fewer)) / millions
        peak, arrays = ((of(pairs, more) - of(pairs, fewer)) / millions for of in (_peak, _arrays))
        said.append(
            f"From {fewer:,} to {more:,} rows a further million took {seconds:.2f} s and {_megabytes(peak)} of peak, "
            f"{peak / arrays:.2f} times the arrays that it adds."
        )
    return " ".join(said)


def _seconds(pairs: Pairs, rows: int) -> float:
    return statistics.median(ours.seconds for ours, _ in pairs[rows])


def _peak(pairs: Pairs, rows: int) -> float:
    return max(ours.peak for ours, _ in pairs[rows])


def _arrays(pairs: Pairs, rows: int) -> float:
    return pairs[rows][0][0].arrays


def _megabytes(size: float) -> str:
    return f"{size / _MB:,.0f} MB"


if __name__ == "__main__":
    main()
