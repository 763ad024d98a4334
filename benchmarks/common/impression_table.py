"""Makes a CSV of impressions of any size: ``python -m benchmarks.common.impression_table table.csv --rows 5000000``."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

#: Number of categories of each field; users are text, the others are integers, as ids mostly are.
FIELDS: dict[str, int] = {
    "user": 200_000,
    "item": 50_000,
    "author": 20_000,
    "tag": 5_000,
    "city": 1_000,
    "brand": 500,
    "model": 200,
    "day": 31,
    "hour": 24,
    "age": 9,
    "channel": 8,
    "position": 7,
    "device": 6,
    "tab": 5,
    "gender": 3,
    "weekend": 2,
}
FEATURES = ("price", "duration")
TASKS = ("click", "buy")
SESSION, TIME = "session", "time"

_SESSION_ROWS = 10
_START = 1_650_000_000_000
_CHUNK_ROWS = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_table(options.path, options.rows, options.seed)


def write_table(path: Path, rows: int, seed: int) -> None:
    """Write a table of impressions in order of time, chunk by chunk.

    A column for the session (text, ten rows each), those of ``FIELDS``, two features, two 0/1 labels, and the time in
    milliseconds. Popularity falls as in a shop: few users and items have many rows, most have few.

    Args:
        path: The file.
        rows: Number of rows.
        seed: Seed of everything drawn.
    """
    generator = np.random.default_rng(seed)
    starts = range(0, rows, _CHUNK_ROWS)
    first = _chunk(0, min(_CHUNK_ROWS, rows), generator)
    with csv.CSVWriter(path, first.schema, write_options=csv.WriteOptions(quoting_style="none")) as writer:
        writer.write_table(first)
        for start in starts[1:]:
            writer.write_table(_chunk(start, min(_CHUNK_ROWS, rows - start), generator))


def _chunk(start: int, size: int, generator: np.random.Generator) -> pa.Table:
    session = (start + np.arange(size)) // _SESSION_ROWS
    fields = {name: _drawn(generator, number, size) for name, number in FIELDS.items()}
    click = generator.random(size) < 0.3
    features = {name: generator.normal(5.0, 2.0, size).round(3) for name in FEATURES}
    return pa.table(
        {
            SESSION: _texts("s", session),
            **fields,
            "user": _texts("user", fields["user"]),
            **features,
            "click": click.astype(np.int8),
            "buy": (click & (generator.random(size) < 0.2)).astype(np.int8),
            TIME: _START + (start + np.arange(size)) * 500,
        }
    )


def _drawn(generator: np.random.Generator, number: int, size: int) -> np.ndarray:
    """Return categories from 0 to ``number - 1``, the lower the more frequent."""
    return (number * generator.random(size) ** 2).astype(np.int64)


def _texts(prefix: str, numbers: np.ndarray) -> pa.Array:
    distinct, places = np.unique(numbers, return_inverse=True)
    texts = pa.array([f"{prefix}{number:07d}" for number in distinct])
    return texts.take(pa.array(places))


if __name__ == "__main__":
    main()
