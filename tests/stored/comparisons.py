"""Ways to tell what a stored run led to."""

from pathlib import Path

import pandas as pd


def assert_same_table(path: Path, expected: Path) -> None:
    """Check that two tables hold the same, but for seconds."""
    tables = [pd.read_csv(each) for each in (path, expected)]
    found, before = (table.drop(columns="seconds", errors="ignore") for table in tables)
    pd.testing.assert_frame_equal(found, before, rtol=1e-4, atol=1e-6)


def change_data(path: Path) -> None:
    """Turn the first label around."""
    header, first, *others = path.read_text().splitlines()
    changed = first[:-1] + str(1 - int(first[-1]))
    path.write_text("\n".join([header, changed, *others]) + "\n")
