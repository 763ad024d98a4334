"""Values of a file, before they become a dataclass's."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

Value = TypeVar("Value")

_SHOWN = 40


def built(cls: type[Value], values: Any) -> Value:
    """Return a dataclass of plain fields from what a file holds.

    Args:
        cls: The dataclass; its fields are numbers, texts or optional ones.
        values: Its fields by name.

    Raises:
        ValueError: If these are no such fields, or one is of another type; the message names it.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"a {cls.__name__} was expected, not {str(values)[:_SHOWN]}")
    for name, hint in get_type_hints(cls).items():
        types = get_args(hint) or (hint,)
        if name in values and not _fits(values[name], types):
            shown = f"{values[name]!r}"[:_SHOWN]
            kinds = " or ".join("nothing" if each is NoneType else each.__name__ for each in types)
            raise ValueError(f"{name} of a {cls.__name__} is {shown}, and not {kinds}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"these are not the fields of a {cls.__name__}: {error}") from error


def _fits(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types) or (isinstance(value, int) and float in types)
