"""Serialises a value with its large arrays apart, so that processes can share the memory of the arrays.

A pickle is read only by the run that wrote it, from a folder of its own.
"""

import io
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.storage import TypedStorage, UntypedStorage

#: Arrays and tensors of at least this size, in bytes, are kept apart.
LEAST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Packed:
    """A serialised value.

    Attributes:
        payload: The value's pickle, with references to the arrays.
        arrays: Large arrays as they are, and the memory of large tensors as bytes; views, not copies.
        written: Positions of arrays that hold parameters or buffers of modules, which training writes in place.
    """

    payload: bytes
    arrays: Sequence[NDArray[Any]]
    written: frozenset[int]


def pack(value: Any) -> Packed:
    """Serialise a value; tensors that share memory share it afterwards, too."""
    stream = io.BytesIO()
    packer = _Packer(stream)
    packer.dump(value)
    return Packed(stream.getvalue(), packer.arrays, packer.written)


def unpack(packed: Packed) -> Any:
    """Restore a value on the memory of the given arrays.

    Parameters and buffers of modules are copied where the arrays are read-only; everything else is read-only then.
    """
    arrays = [
        array.copy() if number in packed.written and not array.flags.writeable else array
        for number, array in enumerate(packed.arrays)
    ]
    return _Unpacker(io.BytesIO(packed.payload), arrays).load()


def write_packed(packed: Packed, folder: Path) -> None:
    """Write the parts into an empty folder.

    Raises:
        OSError: If they cannot be written.
    """
    for number, array in enumerate(packed.arrays):
        np.save(folder / f"{number}.npy", array, allow_pickle=False)
    (folder / "payload").write_bytes(pickle.dumps((packed.payload, len(packed.arrays), packed.written)))


def read_packed(folder: Path) -> Packed:
    """Map the parts into memory, copy on write: all readers share the pages that they do not write.

    Raises:
        FileNotFoundError: If the folder is gone.
    """
    payload, count, written = pickle.loads((folder / "payload").read_bytes())  # noqa: S301
    arrays = [np.asarray(np.load(folder / f"{number}.npy", mmap_mode="c")) for number in range(count)]
    return Packed(payload, arrays, written)


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Replaces large arrays by references, and pickles functions of scripts by value."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self.arrays: list[NDArray[Any]] = []
        self._numbers: dict[Any, int] = {}
        self._module_memory: set[tuple[int, int]] = set()
        # An address or an id identifies an object only as long as that object lives.
        self._alive: list[Any] = []

    @property
    def written(self) -> frozenset[int]:
        return frozenset(self._numbers[memory] for memory in self._module_memory if memory in self._numbers)

    def persistent_id(self, value: Any) -> tuple[int, torch.dtype | None] | None:
        if isinstance(value, TypedStorage):
            return self._storage_reference(value)
        if type(value) in (np.ndarray, np.memmap):
            return self._array_reference(value)
        if isinstance(value, nn.Module):
            self._note_memory(value)
        return None

    def _storage_reference(self, storage: TypedStorage) -> tuple[int, torch.dtype] | None:
        memory = storage._untyped_storage
        if memory.device.type != "cpu" or memory.nbytes() < LEAST_BYTES:
            return None
        return self._number(_address(memory), memory, _as_bytes), storage.dtype

    def _array_reference(self, array: NDArray[Any]) -> tuple[int, None] | None:
        if array.nbytes < LEAST_BYTES or array.dtype.hasobject:
            return None
        return self._number(id(array), array, _contiguous), None

    def _number(self, key: Any, value: Any, as_array: Any) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.arrays)
            self.arrays.append(as_array(value))
            self._alive.append(value)
        return self._numbers[key]

    def _note_memory(self, module: nn.Module) -> None:
        for tensor in chain(module.parameters(recurse=False), module.buffers(recurse=False)):
            if tensor.layout is torch.strided and tensor.device.type == "cpu":
                self._module_memory.add(_address(tensor.untyped_storage()))


class _Unpacker(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, arrays: Sequence[NDArray[Any]]) -> None:
        super().__init__(stream)
        self._arrays = arrays
        self._storages: dict[int, UntypedStorage] = {}

    def persistent_load(self, reference: tuple[int, torch.dtype | None]) -> NDArray[Any] | TypedStorage:
        number, dtype = reference
        if dtype is None:
            return self._arrays[number]
        if number not in self._storages:
            self._storages[number] = _as_storage(self._arrays[number])
        return TypedStorage(wrap_storage=self._storages[number], dtype=dtype, _internal=True)


def _address(memory: UntypedStorage) -> tuple[int, int]:
    return memory.data_ptr(), memory.nbytes()


def _as_bytes(memory: UntypedStorage) -> NDArray[Any]:
    return torch.empty(0, dtype=torch.uint8).set_(memory).numpy()


def _contiguous(array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array if array.flags.forc else np.ascontiguousarray(array))


def _as_storage(array: NDArray[Any]) -> UntypedStorage:
    with warnings.catch_warnings():
        # The tensor is only read, so that its memory may be read-only.
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)
        return torch.from_numpy(array).untyped_storage()
