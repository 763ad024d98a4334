"""Fingerprints of data sets: checksums of rows, columns and ids, and what differs between two of them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightning_modules.utilities.messages import listed

#: A row's number in its split says nothing that its place does not.
_NUMBERS = "row"
# Small enough for the processor's caches.
_BLOCK_ROWS = 1 << 13
_FACTOR = np.uint64(0xD1342543DE82EF95)
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_SHOWN = 6

#: Texts or numbers in the order of their indices.
Values: TypeAlias = Sequence[Any] | np.ndarray | pd.Index


@dataclass(frozen=True)
class SplitPrint:
    """The rows of one split.

    Attributes:
        rows: Number of rows.
        unordered: Checksum of the rows in any order.
        columns: Checksum of the values of every column in their order.
    """

    rows: int
    unordered: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Fingerprint:
    """Checksums of a data set, by which a resumed study or training recognises its rows.

    They detect changes, not forgeries: a column's checksum is the sum of its values, each times a pseudo-random number
    of its place, modulo 2**64, so that two different columns collide with a probability of at most about 2**-32.

    Attributes:
        splits: The rows of every split, by the split's name.
        names: For everything that gives an encoded row its meaning (the ids of users, the categories of a field) the
            number of its values and their checksum.
        keys: Those of ``names`` that no model is given, such as the ids of sessions; they are not stored.
    """

    splits: Mapping[str, SplitPrint]
    names: Mapping[str, str]
    keys: Collection[str] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        rows: Mapping[str, tuple[Tensor, ...]],
        columns: Mapping[str, Sequence[str]],
        names: Mapping[str, Values],
        keys: Collection[str] = (),
    ) -> "Fingerprint":
        """Return the fingerprint of encoded rows.

        Args:
            rows: Named tuples of tensors [n] or [n, columns] for every split.
            columns: Names of the columns of tensors [n, columns], by the tensor's name; others are numbered.
            names: What gives the rows their meaning, in the order of the indices: texts or numbers.
            keys: Those of ``names`` that no model is given.
        """
        splits = {split: _split_print(_named_parts(each, columns)) for split, each in rows.items()}
        checksums = {name: f"{len(values)}:{_values_checksum(values)}" for name, values in names.items()}
        return cls(splits, checksums, keys)

    @classmethod
    def from_plain(cls, plain: Any) -> "Fingerprint":
        """Return what :meth:`plain` gave.

        Raises:
            ValueError: If it is something else.
        """
        try:
            splits = {
                str(name): SplitPrint(int(each["rows"]), str(each["unordered"]), _texts(each["columns"]))
                for name, each in plain["splits"].items()
            }
            return cls(splits, _texts(plain["names"]))
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"no fingerprint of data ({type(error).__name__}: {error})") from error

    def plain(self) -> dict[str, Any]:
        """Return the fingerprint as what JSON and checkpoints hold."""
        return {"splits": {name: asdict(each) for name, each in self.splits.items()}, "names": dict(self.names)}

    def renamed(self, now: "Fingerprint") -> list[str]:
        """Return which of the ids, categories or scales that a model is given differ from those of now, in words."""
        before, after = (_without(each.names, now.keys) for each in (self, now))
        return list(_other_names(before, after))

    def differences(self, now: "Fingerprint") -> list[str]:
        """Return what differs between these rows and those of now, in words; nothing if they are the same."""
        return [*self._other_rows(now), *_other_names(self.names, now.names)]

    def _other_rows(self, now: "Fingerprint") -> Iterator[str]:
        if self.splits.keys() != now.splits.keys():
            yield f"the splits {', '.join(now.splits)} in place of {', '.join(self.splits)}"
        elif self._is_divided_otherwise(now):
            yield "the same rows are divided otherwise among the splits"
        else:
            changes: dict[str, list[str]] = {}
            for split, before in self.splits.items():
                for change in _changes(before, now.splits[split]):
                    changes.setdefault(change, []).append(split)
            yield from (f"{', '.join(splits)}: {change}" for change, splits in changes.items())

    def _is_divided_otherwise(self, now: "Fingerprint") -> bool:
        changed = any(before.unordered != now.splits[split].unordered for split, before in self.splits.items())
        return changed and _total(self.splits.values()) == _total(now.splits.values())


def _changes(before: SplitPrint, now: SplitPrint) -> Iterator[str]:
    if before == now:
        return
    others = [name for name, checksum in before.columns.items() if now.columns.get(name) != checksum]
    if before.rows != now.rows:
        yield f"{now.rows} rows in place of {before.rows}"
    elif before.columns.keys() != now.columns.keys():
        yield f"the columns {', '.join(now.columns)} in place of {', '.join(before.columns)}"
    elif before.unordered == now.unordered and len(others) == len(before.columns):
        yield "the rows are in another order"
    else:
        yield f"other values of {listed(others, _SHOWN, ', ')}"


def _other_names(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in {**before, **now}:
        old, new = before.get(name, "0:"), now.get(name, "0:")
        if old != new:
            was, are = old.partition(":")[0], new.partition(":")[0]
            yield f"other {name} ({are} in place of {was})" if was != are else f"other {name} (as many, {are})"


def _without(names: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    return {name: checksum for name, checksum in names.items() if name not in keys}


def _total(splits: Any) -> int:
    return sum(int(each.unordered, 16) for each in splits) % 2**64


def _named_parts(rows: tuple[Tensor, ...], columns: Mapping[str, Sequence[str]]) -> dict[str, tuple[Tensor, list[str]]]:
    parts = {}
    for name, tensor in zip(rows._fields, rows, strict=True):  # type: ignore[attr-defined]  # a named tuple
        if name != _NUMBERS:
            width = tensor.shape[1:].numel()
            own = columns.get(name, range(width))
            parts[name] = tensor, [name] if tensor.ndim == 1 else [f"{name} {each}" for each in own]
    return parts


def _split_print(parts: Mapping[str, tuple[Tensor, list[str]]]) -> SplitPrint:
    names = [name for _, own in parts.values() for name in own]
    arrays = [_integers(tensor) for tensor, _ in parts.values()]
    rows, of_places = len(arrays[0]), _random(_BLOCK_ROWS)
    ordered, unordered = np.zeros(len(names), dtype=np.uint64), np.zeros(len(arrays), dtype=np.uint64)
    for start in range(0, rows, _BLOCK_ROWS):
        block = [_unsigned(array[start : start + _BLOCK_ROWS]) for array in arrays]
        # An odd factor for every block that follows, so that blocks have an order too.
        ordered = ordered * _FACTOR + np.concatenate([of_places[: len(part)] @ part for part in block])
        unordered += np.array([part[:, :1].sum() for part in block])
    checksums = {name: _hex(each) for name, each in zip(names, ordered, strict=True)}
    return SplitPrint(rows, _hex(unordered @ _random(len(unordered))), checksums)


def _integers(tensor: Tensor) -> np.ndarray:
    """Return the bits of every value as an integer, of shape [n, columns]."""
    columns = tensor.detach().cpu().reshape(len(tensor), tensor.shape[1:].numel()).contiguous()
    return columns.view(_BITS[columns.element_size()]).numpy()


def _unsigned(integers: np.ndarray) -> np.ndarray:
    # Those of eight bytes need no copy.
    return integers.view(np.uint64) if integers.dtype == np.int64 else integers.astype(np.uint64)


def _values_checksum(values: Values) -> str:
    content = _content_of_list(values) if isinstance(values, list | tuple) else _content_of_array(np.asarray(values))
    return hashlib.sha256(content).hexdigest()[:16]


def _content_of_list(values: Sequence[Any]) -> bytes:
    """Return what numpy would make of a list, whose array of texts has room in every place for the longest."""
    if not any(isinstance(value, str) for value in values):
        return _content_of_array(np.asarray(values))
    # Such an array does not tell trailing zeros from its own.
    return _content_of_texts(str(value).rstrip("\0") for value in values)


def _content_of_array(array: np.ndarray) -> bytes:
    return array.tobytes() if array.dtype.kind in "iuf" else _content_of_texts(map(str, array.tolist()))


def _content_of_texts(texts: Iterable[str]) -> bytes:
    return "\0".join(texts).encode(errors="surrogatepass")


def _random(count: int) -> np.ndarray:
    """Return odd pseudo-random numbers, the same on every machine.

    By SplitMix64: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014,
    https://doi.org/10.1145/2660193.2660195
    """
    mixed = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)


def _texts(mapping: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in mapping.items()}


def _hex(number: Any) -> str:
    return f"{int(number):016x}"
