"""Times are numbers or dates, with a zone or without, and never both."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datamodules import ImpressionsDataModule
from datamodules.impressions.splits import by_time_boundaries
from datamodules.tables import Columns, read_columns

COLUMNS = Columns(keys=["u"], times=["t"])


def table(folder: Path, *times: object) -> Path:
    path = folder / "table.csv"
    path.write_text("u,t\n" + "".join(f"u,{time}\n" for time in times))
    return path


def read(folder: Path, *times: object) -> list[Any]:
    return list(read_columns(table(folder, *times), COLUMNS)["t"])


def test_numbers_stay_numbers_and_dates_become_moments(tmp_path: Path) -> None:
    assert read(tmp_path, 5, 978300760) == [5, 978300760]
    assert read(tmp_path, "5.5", "1e3") == [5.5, 1000]
    assert read(tmp_path, 20220501, "20220502.5") == [20220501, 20220502.5]
    day = pd.Timestamp("2022-05-01")
    assert read(tmp_path, "2022-05-01", "2022-05-02") == [day, day + pd.Timedelta(days=1)]
    assert read(tmp_path, "2022-05-01 10:00", "2022-05-01T10:00:00.25") == [
        pd.Timestamp("2022-05-01 10:00"),
        pd.Timestamp("2022-05-01 10:00:00.25"),
    ]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([978300760, 978300761, "?"], "line 4: column 't' is '\\?', which is no number, while other times are"),
        (["?", 978300760, 978300761], "line 2: column 't' is '\\?', which is no number, while other times are"),
        (["2022-05-01", "2022-05-02", 5], "line 4: column 't' is '5', which is no date, while other times are"),
        (["2022-05-01", "2022-05-02", "?"], "line 4: column 't' is '\\?', which is no date, while other times are"),
        (["01.05.2022"], "line 2: column 't' is '01.05.2022', which is no time"),
        ([1, "inf"], "line 3: column 't' is 'inf', which is no"),
        ([1, "nan"], "line 3: column 't' is 'nan', which is no"),
        ([1, ""], "line 3: column 't' is empty"),
        (["10:30", "11:30"], "line 2: column 't' is '10:30', which is no time"),
        (["true", "false"], "line 2: column 't' is 'true', which is no time"),
        (
            ["2022-05-01T10:00Z", "2022-05-01T11:00Z", "2022-05-01T12:00"],
            "line 4: column 't' is '2022-05-01T12:00', which is without a zone, while other times have one",
        ),
        (
            ["2022-05-01T10:00", "2022-05-01T11:00", "2022-05-01T12:00+08:00"],
            r"line 4: column 't' is '2022-05-01T12:00\+08:00', which is with a zone, while other times have none",
        ),
    ],
)
def test_odd_cell_is_named_with_its_line(tmp_path: Path, times: list[object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        read(tmp_path, *times)


def test_one_zone_of_all_cells_is_kept_and_several_become_utc(tmp_path: Path) -> None:
    shanghai = read_columns(table(tmp_path, "2024-01-02T00:00:00+08:00", "2024-01-02T01:00:00+0800"), COLUMNS)["t"]
    assert [str(time) for time in shanghai] == ["2024-01-02 00:00:00+08:00", "2024-01-02 01:00:00+08:00"]
    both = read(tmp_path, "2024-01-02T00:00:00+08:00", "2024-01-02T00:00:00+02:00")
    assert both == [pd.Timestamp("2024-01-01 16:00", tz="UTC"), pd.Timestamp("2024-01-01 22:00", tz="UTC")]


ZONES = ["Asia/Shanghai", "UTC", "America/New_York"]


@pytest.mark.parametrize("zone", ZONES)
def test_boundary_without_a_zone_is_in_that_of_the_times(zone: str) -> None:
    time = pd.Series(pd.date_range("2024-01-01", periods=300, freq="10min", tz=zone))
    found = by_time_boundaries(time, ("2024-01-02 00:00:00", "2024-01-02 12:00:00"))
    assert [len(rows) for rows in found.values()] == [144, 72, 84]
    elsewhere = [pd.Timestamp(text, tz=zone).tz_convert("Europe/Berlin") for text in ("2024-01-02", "2024-01-02 12:00")]
    again = by_time_boundaries(time, (elsewhere[0].isoformat(), elsewhere[1].isoformat()))
    assert all((found[name] == again[name]).all() for name in found)


def test_boundary_with_a_zone_against_times_without_one_is_refused() -> None:
    time = pd.Series(pd.date_range("2024-01-01", periods=9))
    with pytest.raises(ValueError, match="has a zone, and the times of the rows have none"):
        by_time_boundaries(time, ("2024-01-02T00:00:00+08:00", "2024-01-05"))


@pytest.mark.parametrize(
    ("boundary", "shown", "written"),
    [
        ("2022-10-30 02:30", "twice", "2022-10-30 02:30:00+02:00"),
        ("2022-03-27T02:30", "not at all", "2022-03-27 02:30:00+01:00"),
    ],
)
def test_boundary_at_which_clocks_are_changed_needs_its_offset(boundary: str, shown: str, written: str) -> None:
    start = pd.Timestamp(boundary).normalize()
    time = pd.Series(pd.date_range(start, periods=60, freq="h", tz="Europe/Berlin"))
    with pytest.raises(ValueError, match=f"Europe/Berlin, show {shown}") as caught:
        by_time_boundaries(time, (boundary, str(start + pd.Timedelta(hours=12))))
    assert str(caught.value).endswith(f"such as '{written}'")
    rows = by_time_boundaries(time, (written, str(start + pd.Timedelta(hours=12))))
    assert time[rows["validation"][0] - 1] < pd.Timestamp(written) <= time[rows["validation"][0]]


def test_boundary_in_the_zone_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    time = pd.date_range("2024-01-01", periods=300, freq="10min", tz="Asia/Shanghai")
    rows = [{"u": row % 9, "c": row // 3 % 2, "t": moment.isoformat()} for row, moment in enumerate(time)]
    pd.DataFrame(rows).to_csv(path, index=False)
    data = ImpressionsDataModule(
        str(path),
        categorical_columns=["u"],
        tasks=["c"],
        time_column="t",
        boundaries=("2024-01-02", "2024-01-02 12:00"),
    )
    data.setup()
    assert [len(rows.label) for rows in data.rows.values()] == [144, 72, 84]


def test_tables_of_one_split_with_different_kinds_of_times_are_refused(tmp_path: Path) -> None:
    for name, time in (("train", "5"), ("validation", "6"), ("test", "2022-05-01")):
        rows = "".join(f"{row},{row % 2},{time}\n" for row in range(4))
        (tmp_path / f"set.{name}.csv").write_text("u,c,t\n" + rows)
    data = ImpressionsDataModule(str(tmp_path), categorical_columns=["u"], tasks=["c"], time_column="t")
    with pytest.raises(
        ValueError, match=r"column 't' holds numbers in .*set\.train\.csv and dates in .*set\.test\.csv"
    ):
        data.setup()
