"""Tables in memory that are stored beside a study, and are the same when it goes on."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossmith.tables import TABLE_NAME, described_table

COLUMNS = {"user": "who", "item": "what", "label": "label"}
FRAME = pd.DataFrame({"who": ["a", "b", "a"], "what": [1, 2, 2], "label": [0, 1, 1]})
TABLES = {
    "plain": FRAME,
    "categories of texts": FRAME.astype({"who": "category"}),
    "categories of numbers": FRAME.astype({"what": "category"}),
    "times in seconds": FRAME.assign(when=pd.date_range("2020", periods=3, freq="h").astype("datetime64[s]")),
    "missing numbers of Arrow": pa.table({**FRAME.to_dict("list"), "price": [float("nan"), 1.0, 2.0]}),
    "some rows": FRAME[FRAME["label"] == 1],
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_a_study_goes_on_with_the_same_table(table: Any, tmp_path: Path) -> None:
    first = described_table(table, tmp_path, COLUMNS, None)
    stored = (tmp_path / TABLE_NAME).read_bytes()
    assert described_table(table, tmp_path, COLUMNS, None) == first
    assert (tmp_path / TABLE_NAME).read_bytes() == stored
    assert pq.read_table(tmp_path / TABLE_NAME).column_names == pa.table(table).column_names


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_another_table_is_refused(table: Any, tmp_path: Path) -> None:
    described_table(table, tmp_path, COLUMNS, None)
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    for other in (frame.assign(label=0), frame.iloc[1:], frame.assign(more=1)):
        with pytest.raises(ValueError, match="holds another table than the one given"):
            described_table(other, tmp_path, COLUMNS, None)
