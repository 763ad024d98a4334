"""Times of rows and of options: numbers or ISO 8601 dates, with or without a zone, and never both."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import compute
from pytorch_lightning.utilities import rank_zero_info

from datamodules.tables.columns import TablePart, refuse_cells
from datamodules.tables.ids import is_text

_REMEDY = "Times are numbers or ISO 8601 dates such as 2022-04-25 10:30:00"
_ZONE = r"\d[T ].*?(Z|z|[+-]\d\d(?::?\d\d)?)$"


def as_times(column: pa.ChunkedArray, part: TablePart, name: str) -> pa.ChunkedArray:
    """Return filled cells [n] as numbers or dates; text is read as numbers or as ISO 8601 dates.

    Raises:
        ValueError: If a cell is no time, or not of the kind that others are.
    """
    kind = column.type
    if is_text(kind):
        return _from_texts(column, part, name)
    if pa.types.is_floating(kind):
        refuse_cells(compute.invert(compute.is_finite(column)), part, name, "no time", _REMEDY)
        return column.cast(pa.float64())
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        return column
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("s"))
    raise ValueError(f"{part.path}: the cells of column '{name}' are {kind}. {_REMEDY}")


def joined_times(columns: Sequence[pd.Series], sources: Sequence[object]) -> pd.Series:
    """Return the times of several tables one after another.

    Args:
        columns: The times of each.
        sources: What to call each table in messages.

    Raises:
        ValueError: If they are not of one kind.
    """
    kinds = [_kind(column) for column in columns]
    for kind, source in zip(kinds, sources, strict=True):
        if kind != kinds[0]:
            raise ValueError(
                f"column '{columns[0].name}' holds {kinds[0]} in {sources[0]} and {kind} in {source}, which cannot be "
                "compared. Write all in one way"
            )
    zone = getattr(columns[0].dtype, "tz", None)
    same = [column.dt.tz_convert(zone) for column in columns] if zone is not None else columns
    return pd.concat(same, ignore_index=True)


def as_boundary(boundary: object, time: pd.Series) -> Any:
    """Return an option's time such that it can be compared with those of the rows; without a zone it is in theirs.

    Raises:
        ValueError: If it cannot.
    """
    try:
        if pd.api.types.is_numeric_dtype(time):
            return float(str(boundary))
        moment: Any = pd.to_datetime(str(boundary), format="ISO8601")
    except ValueError as error:
        raise ValueError(
            f"the boundary '{boundary}' is no time like those of the rows, which are {_kind(time)} such as "
            f"{time.iloc[0]}; write it as one"
        ) from error
    zone = getattr(time.dtype, "tz", None)
    if zone is None and moment.tz is not None:
        raise ValueError(
            f"the boundary '{boundary}' has a zone, and the times of the rows have none, such as {time.iloc[0]}; "
            "write it without, in the zone that they are meant in"
        )
    if zone is None:
        return moment
    return _localized(moment, zone, boundary) if moment.tz is None else moment.tz_convert(zone)


def _localized(moment: Any, zone: Any, boundary: object) -> Any:
    """Return a moment in the zone of the rows, where its clocks show it once."""
    is_skipped = moment.tz_localize(zone, ambiguous=True, nonexistent="NaT") is pd.NaT
    result = pd.NaT if is_skipped else moment.tz_localize(zone, ambiguous="NaT")
    if result is pd.NaT:
        shown = "not at all" if is_skipped else "twice"
        offset = (moment - pd.Timedelta(days=1)).tz_localize(zone).strftime("%z")
        raise ValueError(
            f"the boundary '{boundary}' is a time that the clocks of the rows' zone, {zone}, show {shown}, since they "
            f"are changed then. Write it with its offset from UTC, such as '{moment}{offset[:3]}:{offset[3:]}'"
        )
    return result


def _kind(time: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(time):
        return "numbers"
    return "dates" if getattr(time.dtype, "tz", None) is None else "dates with a zone"


def _from_texts(column: pa.ChunkedArray, part: TablePart, name: str) -> pa.ChunkedArray:
    cells = column.to_pandas()
    numbers = pd.to_numeric(cells, errors="coerce").astype("float64")
    is_number = numbers.notna() & (numbers.abs() < float("inf"))
    if is_number.all():
        # Some releases of pandas read larger whole numbers as objects, others refuse them.
        exact = pd.to_numeric(cells) if numbers.abs().max() < 2.0**63 else numbers
        return pa.chunked_array([pa.array(exact if exact.dtype == "int64" else numbers)])
    dates = pd.to_datetime(cells.where(~is_number), errors="coerce", format="ISO8601", utc=True)
    is_date = dates.notna()
    if is_number.any() and is_number.sum() >= is_date.sum():
        _refuse(~is_number, part, name, "no number, while other times are")
    _refuse(~is_date, part, name, "no date, while other times are" if is_date.any() else "no time")
    return pa.chunked_array([pa.array(_in_zone(cells, dates, part, name))])


def _in_zone(cells: pd.Series, dates: pd.Series, part: TablePart, name: str) -> pd.Series:
    """Return dates, in UTC, in the one zone that all cells name; without it if they name none."""
    zones = cells.str.extract(_ZONE, expand=False)
    has_zone = zones.notna()
    if not has_zone.any():
        return dates.dt.tz_localize(None)
    if has_zone.sum() >= len(cells) / 2:
        _refuse(~has_zone, part, name, "without a zone, while other times have one")
    if not has_zone.all():
        _refuse(has_zone, part, name, "with a zone, while other times have none")
    offsets = {_offset(zone) for zone in zones.unique()}
    if len(offsets) > 1:
        rank_zero_info(
            f"{part.path}: column '{name}' has times of {len(offsets)} offsets from UTC; they are turned into UTC, and "
            "a boundary without a zone is taken as UTC too"
        )
        return dates
    return dates.dt.tz_convert(offsets.pop())


def _offset(text: str) -> str:
    """Return the name of a zone that is written as ``Z``, ``+08``, ``+0800`` or ``+08:00``."""
    digits = re.sub(r"\D", "", text).ljust(4, "0")
    return "UTC" if digits == "0000" else f"UTC{text[0]}{digits[:2]}:{digits[2:]}"


def _refuse(wrong: pd.Series, part: TablePart, name: str, what: str) -> None:
    refuse_cells(pa.array(wrong.to_numpy(dtype=bool)), part, name, what, _REMEDY)
