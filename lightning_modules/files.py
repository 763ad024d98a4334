"""Files that are there whole or not at all."""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name beside ``path``, bring it to the disk and give it its name.

    Whoever reads ``path`` meanwhile, or after a crash, has the file as it was before or the new one, never a part.

    Args:
        path: The file; its folder exists.
        write: Writes to the path that it is given.

    Raises:
        OSError: If it cannot be written; ``path`` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed in :func:`replace_file` left; none may be writing there."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a compressed file as :func:`replace_file` does.

    Raises:
        ValueError: If an array holds objects, which only pickle could write.
    """
    # Releases of numpy that do not know allow_pickle here would pickle them, and store it as one more array.
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise ValueError(f"array '{objects[0]}' holds objects, which are not pickled; give it a type of its own")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    replace_file(path, write)


def save_tensors(path: Path, value: Any) -> None:
    """Write what ``torch.load(path, weights_only=True)`` reads, as :func:`replace_file` does.

    Raises:
        OSError: If it cannot be written.
    """
    # By way of memory, since torch's own writer hides what keeps it from writing, a full disk included.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    replace_file(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


def load_arrays(path: Path) -> Mapping[str, np.ndarray]:
    """Return the arrays of a file by name; pickled objects are refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none that :func:`save_arrays` wrote.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, TypeError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged, or no file of arrays: {error}") from error
