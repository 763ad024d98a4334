"""Time and memory of reading impressions: ``python -m benchmarks.impressions_reading --rows 100000 1000000 5000000``.

Every reading is done by a process of its own, so that none inherits another's memory, and on one core.
"""

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

from benchmarks.impression_readers import Reading, read_with_data_module, read_with_pandas
from benchmarks.impression_table import FEATURES, FIELDS, TASKS, write_table
from benchmarks.report import table, write_report

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
    command = f"python -m benchmarks.impressions_reading --rows {' '.join(map(str, pairs))} --repeats {options.repeats}"
    write_report("impressions_reading", title="Reading impressions", command=command, parts=report(pairs, sizes))


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
