"""Objects as plain values, and checkpoints read without running any code."""

import inspect
import pickle
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from lightning_modules.utilities.messages import shortened

Class = TypeVar("Class")

_LONGEST_REASON = 200
# torch's message advises weights_only=False, which would run whatever the file holds.
_UNPICKLABLE = "since it is damaged, or holds more than plain data and tensors"
#: Where Lightning, and then a model, takes over what a checkpoint holds.
_RESTORING = "pytorch_lightning.trainer.connectors.checkpoint_connector"
_RESUMING, _HOOKS = "lightning_modules.core.resumption", ("on_load_checkpoint", "on_train_start")
_OWN = ("lightning_modules", "datamodules", "callbacks")


class Described:
    """An object that keeps its constructor's arguments as attributes of the same names, and can thereby be described.

    A description is what a configuration file holds, and what a checkpoint that loads without pickle may hold.
    """

    def init_args(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values; a class whose arguments are objects overrides this."""
        parameters = inspect.signature(type(self)).parameters.values()
        named = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
        return {name: _plain(getattr(self, name)) for name in named}

    @property
    def title(self) -> str:
        """The object's name in tables: its class, with the arguments that are not the default."""
        defaults = inspect.signature(type(self)).parameters
        changed = {name: value for name, value in self.init_args().items() if value != defaults[name].default}
        arguments = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{type(self).__name__}({arguments})" if changed else type(self).__name__

    def spec(self) -> dict[str, Any]:
        """Return the object as plain values, ``{"class_path": ..., "init_args": {...}}``, as a configuration has it.

        Raises:
            TypeError: If an argument is not a plain value and the class does not override :meth:`init_args`.
        """
        return {"class_path": class_path(type(self)), "init_args": self.init_args()}


def _plain(value: Any) -> Any:
    if isinstance(value, Described):
        return value.spec()
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {str(name): _plain(element) for name, element in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} is not a plain value; override init_args() to say how it is written")


def class_path(cls: type) -> str:
    """Return the shortest path under which the class can be imported: that of the package that offers it."""
    parts = cls.__module__.split(".")
    packages = (".".join(parts[:end]) for end in range(1, len(parts)))
    offered = (package for package in packages if getattr(sys.modules.get(package), cls.__name__, None) is cls)
    return f"{next(offered, cls.__module__)}.{cls.__qualname__}"


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
        raise ValueError(f"'{path}' cannot be read as a checkpoint ({reason_of(error)}); {expected}") from error


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


def is_folder(path: str | Path) -> bool:
    """Return whether there is a folder at a path that may be no path at all, such as a long formula."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def reason_of(error: BaseException) -> str:
    """Return the first lines of an error's message, cut where they are long; its class if there are none."""
    if isinstance(error, pickle.UnpicklingError):
        return _UNPICKLABLE
    reason = " ".join(" ".join(str(error).splitlines()[:3]).split()) or type(error).__name__
    return shortened(reason, _LONGEST_REASON)


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
    return shortened(text, _LONGEST_REASON)


def refuse_non_finite(model: nn.Module, use: str) -> None:
    """Refuse a model whose training has diverged, before something is made of it.

    A buffer may hold infinities, as masks do, but nothing that is not a number.

    Args:
        model: The model.
        use: What cannot be done with it, the beginning of the message, such as ``it cannot be exported``.

    Raises:
        ValueError: If a weight is not finite.
    """
    parameters = {name for name, _ in model.named_parameters()}
    for name, values in model.state_dict().items():
        if not values.is_floating_point():
            continue
        bad = int((~torch.isfinite(values) if name in parameters else torch.isnan(values)).sum())
        if bad:
            raise ValueError(
                f"{use}: {bad} of {values.numel()} values of {name} are not finite, as its training has diverged. Take "
                "an earlier checkpoint, or train again with a smaller learning rate or --trainer.gradient_clip_val"
            )
