"""Names of columns and tasks, which are text even where YAML reads a number, a truth or nothing."""

import json
import re
from collections.abc import Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from lightning_modules.cli.registry import SECTIONS, argument_hints, named
from lightning_modules.utilities.untrusted_data import SettingsError, check_bounds

_OPTION = re.compile(rf"--({'|'.join(SECTIONS)})(\.\w+)*\.(?P<argument>\w+)")
# It reads every scalar as the text that it is.
_LOADER: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def takes_names(option: str) -> bool:
    """Return whether an option of a model or of data takes several names."""
    match = _OPTION.fullmatch(option)
    return match is not None and match["argument"] in _arguments()


def as_names(value: str) -> str:
    """Return a list of names, or a mapping of such, as JSON in which every name is a text; other values as they are."""
    try:
        check_bounds(value)
        names = yaml.load(value, Loader=_LOADER)  # noqa: S506 (builds texts, lists and mappings)
    except (yaml.YAMLError, SettingsError):
        return value
    return json.dumps(names) if isinstance(names, list | dict) else value


@cache
def _arguments() -> frozenset[str]:
    classes = [cls for base in SECTIONS.values() for cls in named(base).values()]
    hints = [hint for cls in classes for hint in argument_hints(cls).items()]
    of_names = {name for name, hint in hints if _is_names(hint)}
    # What is something else elsewhere cannot be told before the class is known.
    return frozenset(of_names - {name for name, hint in hints if not _is_names(hint)})


def _is_names(hint: Any) -> bool:
    """Return whether a type is that of several texts, or of several texts by a text."""
    origin, arguments = get_origin(hint), [each for each in get_args(hint) if each not in (NoneType, Ellipsis)]
    if origin in (Union, UnionType):
        return all(map(_is_names, arguments))
    if origin is dict:
        return arguments[0] is str and _is_names(arguments[1])
    return origin in (list, tuple, Sequence) and bool(arguments) and all(each is str for each in arguments)
