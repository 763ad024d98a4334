"""Reads checkpoints without running what they name."""

import pickle
import sys
from pathlib import Path
from typing import Any, TypeVar

import torch

Class = TypeVar("Class")


def load_checkpoint(path: str | Path, expected: str) -> Any:
    """Return what a checkpoint holds, on the CPU; large parts that are not used are not read.

    Args:
        path: The checkpoint.
        expected: What to do if it is none, the end of the message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint '{path}'; {expected}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"'{path}' cannot be read as a checkpoint ({reason}); {expected}") from error


def imported_class(path: str, base: type[Class]) -> type[Class] | None:
    """Return the subclass of ``base`` at a dotted path; None if there is none among the modules imported already.

    No module is imported: a checkpoint must not choose what code is loaded.
    """
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) and issubclass(found, base) else None
