"""Reading data that somebody else may have written: YAML within limits, and dataclasses of checked types."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from jsonargparse import get_loader, set_loader

from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.serialization import is_file

#: Name of the parser mode that reads options and configuration files within the bounds.
BOUNDED = "bounded_yaml"
MOST_CHARACTERS, MOST_VALUES, MOST_DEPTH = 2_000_000, 100_000, 60
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Texts that need no look: they hold no list, mapping, anchor, tag or second line.
_PLAIN = re.compile(r"[^\[\]{}&*!\n:?]*")


#: Characters of a file's values, and of a parser's reason, that a message shows.
_SHOWN, _LONGEST_REASON = 40, 300

Value = TypeVar("Value")


class SettingsError(ValueError):
    """YAML that is no settings; the message says why."""


def check_bounds(text: str) -> None:
    """Refuse YAML that would take long to read, or that stands for more than a configuration may hold.

    Raises:
        SettingsError: If it has too many characters or values, is too deep, or holds itself.
    """
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(f"it has {len(text):,} characters, and settings have at most {MOST_CHARACTERS:,}")
    if not _PLAIN.fullmatch(text):
        _Measure().of(text)


class _Measure:
    """Counts the values of a document as they would be after every alias is replaced by what it stands for."""

    def __init__(self) -> None:
        self.open: list[tuple[str | None, int]] = []
        self.sizes: dict[str, int] = {}
        self.values = 0

    def of(self, text: str) -> None:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event.anchor)
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = self.open.pop()
                self._name(anchor, self.values - before)
            elif isinstance(event, yaml.ScalarEvent):
                self._add(1)
                self._name(event.anchor, 1)

    def _alias(self, anchor: str) -> None:
        if any(anchor == name for name, _ in self.open):
            name = shortened(anchor, _SHOWN)
            raise SettingsError(f"'&{name}' holds itself by '*{name}', and settings end somewhere")
        self._add(self.sizes.get(anchor, 1))

    def _begin(self, anchor: str | None) -> None:
        self.open.append((anchor, self.values))
        if len(self.open) > MOST_DEPTH:
            raise SettingsError(
                f"it has more than {MOST_DEPTH} lists and mappings inside each other; write a flatter one"
            )
        self._add(1)

    def _name(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self.sizes[anchor] = size

    def _add(self, values: int) -> None:
        self.values += values
        if self.values > MOST_VALUES:
            raise SettingsError(f"it stands for more than {MOST_VALUES:,} values, and settings are smaller")


def read_settings(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        OSError: If the file cannot be read.
        SettingsError: If it is no file, no text, no YAML, or out of bounds; the message names it.
    """
    if path.exists() and not is_file(path):
        raise SettingsError(f"'{path}' is a folder, a pipe or a device, where a YAML file is expected")
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
        return _bounded(_load)(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"'{path}' cannot be read as settings: {_reason(error)}") from error


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 (a safe loader)


def _reason(error: Exception) -> str:
    return shortened(" ".join(str(error).split()), _LONGEST_REASON)


def _bounded(load: Callable[[str], Any]) -> Callable[[str], Any]:
    def loaded(stream: str) -> Any:
        check_bounds(stream)
        try:
            return load(stream)
        except (ValueError, TypeError) as error:
            # Such as a number of 5,000 digits, or a mapping whose key is a list.
            raise SettingsError(_reason(error)) from error

    return loaded


set_loader(BOUNDED, _bounded(get_loader("yaml")), exceptions=(yaml.YAMLError, SettingsError))


def built(cls: type[Value], values: Any) -> Value:
    """Return a dataclass of plain fields from what a file holds.

    Args:
        cls: The dataclass; its fields are numbers, texts or optional ones.
        values: Its fields by name.

    Raises:
        ValueError: If these are no such fields, or one is of another type; the message names it.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"a {cls.__name__} was expected, not {shortened(str(values), _SHOWN)}")
    for name, hint in get_type_hints(cls).items():
        types = get_args(hint) or (hint,)
        if name in values and not _fits(values[name], types):
            shown = shortened(f"{values[name]!r}", _SHOWN)
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
