"""What the type hints of options and arguments say."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints


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
