"""Reads checkpoints without running what they name."""

import pickle
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar
from zipfile import is_zipfile

import torch
from torch import Tensor

Class = TypeVar("Class")

_LONGEST_REASON = 200
# torch's own words advise to read it in a way that may run whatever it holds.
_UNPICKLABLE = "since it is damaged, or holds more than plain data and tensors"
#: Where Lightning, and then a model, takes over what a checkpoint holds.
_RESTORING = "pytorch_lightning.trainer.connectors.checkpoint_connector"
_RESUMING, _HOOKS = "lightning_modules.resumption", ("on_load_checkpoint", "on_train_start")
_OWN = ("lightning_modules", "datamodules", "callbacks")


def load_plain(path: str | Path, *, mmap: bool = False) -> Any:
    """Return what ``torch.save`` wrote, on the CPU; classes and functions in it are refused.

    Args:
        path: The file.
        mmap: Leave tensors in the file until they are used.

    Raises:
        Exception: Whatever torch's parser meets in a damaged file.
        ValueError: If it is no file, such as a pipe, which might never end.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError("it is a folder, a pipe or a device, and no file")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def load_checkpoint(path: str | Path, expected: str) -> Any:
    """Return what a checkpoint holds, on the CPU; large parts that are not used are not read.

    Args:
        path: The checkpoint.
        expected: What to do if it is none, the end of the message.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint.
    """
    if not is_file(path):
        raise FileNotFoundError(f"there is no checkpoint '{_name(path)}'; {expected}")
    try:
        # Files of old versions of torch cannot be mapped.
        return load_plain(path, mmap=is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(f"'{path}' cannot be read as a checkpoint, {_UNPICKLABLE}; {expected}") from error
    except Exception as error:  # whatever torch's parser meets in a damaged file
        raise ValueError(f"'{path}' cannot be read as a checkpoint ({shortened(error)}); {expected}") from error


def weights_of(checkpoint: Any) -> Mapping[str, Tensor]:
    """Return the weights that a checkpoint holds; nothing where they are missing or no tensors by name."""
    state = checkpoint.get("state_dict") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        return {}
    is_sound = all(isinstance(name, str) and isinstance(each, Tensor) for name, each in state.items())
    return state if is_sound else {}


def is_file(path: str | Path) -> bool:
    """Return whether there is a file, and no folder, pipe or device, at a path that may be no path at all."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def shortened(error: BaseException) -> str:
    """Return the first lines of an error's message, cut where they are long; its class if there are none."""
    if isinstance(error, pickle.UnpicklingError):
        return _UNPICKLABLE
    reason = " ".join(" ".join(str(error).splitlines()[:3]).split()) or type(error).__name__
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."


def is_of_restoring(error: BaseException) -> bool:
    """Return whether an error arose while Lightning took over what a checkpoint holds, which may be anything.

    What the project's own code says of a checkpoint with a ValueError is no such error.
    """
    frames = [(frame.f_globals.get("__name__", ""), frame.f_code.co_name) for frame, _ in walk_tb(error.__traceback__)]
    if isinstance(error, ValueError) and frames and frames[-1][0].partition(".")[0] in _OWN:
        return False
    return any(module == _RESTORING or (module == _RESUMING and name in _HOOKS) for module, name in frames)


def imported_class(path: str, base: type[Class]) -> type[Class] | None:
    """Return the subclass of ``base`` at a dotted path; None if there is none among the modules imported already.

    No module is imported: a checkpoint must not choose what code is loaded.
    """
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) and issubclass(found, base) else None


def _name(path: str | Path) -> str:
    text = ascii(str(path))[1:-1] if not str(path).isprintable() else str(path)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
