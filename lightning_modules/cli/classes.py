"""The classes that options take by name."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import callbacks
import datamodules
from lightning_modules import agents, losses, multitask, recommenders
from lightning_modules.losses import Loss
from lightning_modules.search import strategies

#: Imported so that their classes need no path, and their checkpoints load.
_PACKAGES = (datamodules, callbacks, agents, losses, multitask, recommenders, strategies)


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


def _is_base(cls: type) -> bool:
    return inspect.isabstract(cls) or cls is Loss
