"""The classes that options take by name."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from pytorch_lightning import LightningDataModule, LightningModule

import callbacks
import datamodules
from lightning_modules import agents, losses, multitask, recommenders
from lightning_modules.losses import Loss
from lightning_modules.search import strategies

#: Imported so that their classes need no path, and their checkpoints load.
_PACKAGES = (datamodules, callbacks, agents, losses, multitask, recommenders, strategies)

#: The sections of a configuration that name a class, and what it must be.
SECTIONS: Mapping[str, type] = {"model": LightningModule, "data": LightningDataModule}
#: Arguments of models that come from the data.
SIZES = ("num_users", "num_items", "field_sizes", "num_numerical", "tasks")


def named(base: type) -> dict[str, type]:
    """Return the project's classes that an option of this type takes, by their names."""
    members = {name: each for package in _PACKAGES for name, each in vars(package).items() if isinstance(each, type)}
    return {
        name: members[name]
        for name in sorted(members)
        if issubclass(members[name], base) and not _is_base(members[name])
    }


def bases_in(hint: Any) -> Iterator[type]:
    """Yield the classes that a type hint asks for: itself, its alternatives, its elements, or what it returns."""
    arguments = get_args(hint)
    if not arguments and isinstance(hint, type):
        yield hint
    for argument in arguments:
        yield from bases_in(argument)


def class_at(path: str) -> Any:
    """Return the class at a dotted path that the parser has imported to find its arguments."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules[module], name)


def argument_hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's arguments, and of those that it hands on to the classes it derives from."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = vars(base).get("__init__")
        if inspect.isfunction(own):
            hints |= get_type_hints(own)
    hints.pop("return", None)
    # The fields of a dataclass of settings are options as well.
    settings = [get_type_hints(hint) for hint in hints.values() if isinstance(hint, type) and is_dataclass(hint)]
    return {**{name: hint for each in settings for name, hint in each.items()}, **hints}


def _is_base(cls: type) -> bool:
    return inspect.isabstract(cls) or cls is Loss


def knows_sizes(data: Any) -> bool:
    """Whether the class of the data's section tells models any size."""
    return any(hasattr(class_at(data["class_path"]), size) for size in SIZES)
