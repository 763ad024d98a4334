"""Parts of the rows of a table that are small enough for a core's cache."""

from collections.abc import Iterator

from torch import Tensor

# Few enough that the cache holds those of all tensors in use.
_NUMBERS = 2**16


def cached_parts(count: int, table: Tensor) -> Iterator[slice]:
    """Cut ``count`` rows of a table, float [rows, ...], into parts to be worked on one after the other.

    Where operations follow one another part by part, each finds in the cache what the one before has written. An
    accelerator gets all rows at once.
    """
    size = max(1, _NUMBERS // max(1, table[:1].numel())) if table.device.type == "cpu" else max(1, count)
    return (slice(start, start + size) for start in range(0, count, size))
