"""Atomic writes: files that are complete or absent."""

import errno
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A full disk, a used-up quota, and a file that may not grow further.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name beside ``path``, bring it to the disk and give it its name.

    Whoever reads ``path`` meanwhile, or after a crash, has the file as it was before or the new one, never a part.

    Args:
        path: The file; its folder exists. Of a symbolic link it is the file that the link names.
        write: Writes to the path that it is given.

    Raises:
        OSError: If it cannot be written; ``path`` is then as it was.
        ValueError: If there is something else than a file, such as a device.
    """
    target = replaceable(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with full_disk_named(path):
            write(temporary)
            put_in_place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def replaceable(path: Path) -> Path:
    """Return the file that a path stands for, links resolved, which a new one may take the place of.

    Raises:
        ValueError: If there is something else than a file: a file in its place would break what uses it.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        kind = "a folder" if target.is_dir() else "a device or a pipe"
        raise ValueError(f"'{path}' is {kind} and no file, so that no file can take its place; name another")
    return target


def put_in_place(temporary: Path, target: Path) -> None:
    """Bring a finished file to the disk and give it its name, with the permissions of the file that is there."""
    if target.exists():
        shutil.copymode(target, temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(target)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Let the error of a full disk name a file, and not a temporary one or none at all."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            error.filename = str(path)
        raise


@contextmanager
def full_disk_explained(what: str, advice: str) -> Iterator[None]:
    """Say of a full disk what cannot be written, and what to do.

    Args:
        what: What is being written, where the error does not name the file.
        advice: What to do, in a sentence.

    Raises:
        OSError: Instead of the error of a full disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        name = f"'{error.filename}'" if error.filename else what
        raise OSError(f"{name} cannot be written: {os.strerror(error.errno)}. {advice}") from error


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
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # a name could be allow_pickle

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


def save_picture(path: Path, figure: "Figure", *, dpi: int) -> None:
    """Write a figure as PNG, as :func:`replace_file` does."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    replace_file(path, lambda temporary: temporary.write_bytes(picture.getbuffer()))


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
