"""Where a setting stands in the configuration files of a command line, for messages that name file and line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from lightning_modules.utilities.serialization import is_file

#: Levels of a file that are no part of an option's name.
_LEVELS = ("init_args", "dict_kwargs")


class ConfigFile(NamedTuple):
    """A configuration file: how the command line names it, and the path that holds from any folder."""

    name: str
    path: Path

    def place(self, key: str) -> str:
        """Return the file, with the line of a dotted key if it is there, as the beginning of a message."""
        line = self.line(key)
        return f"{self.name}, line {line}: " if line else f"{self.name}: "

    def line(self, key: str) -> int | None:
        """Return the first line on which a dotted key stands, at the top or in the section of a verb."""
        # A pipe has been read to its end, and opening it again would wait forever.
        if not key or not is_file(self.path):
            return None
        try:
            document = yaml.compose(self.path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            return None
        found = (line for name, line in _keys(document) if f".{name}".endswith(f".{key}"))
        return next(found, None)


def last_place(files: Sequence[ConfigFile], key: str) -> str:
    """Return the place of a key in the last file that has it, whose values count; nothing if none has it."""
    return next((file.place(key) for file in reversed(files) if file.line(key)), "")


def _keys(node: yaml.Node | None, above: str = "") -> Iterator[tuple[str, int]]:
    """Yield the dotted keys of a document with their lines."""
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _keys(inner, above)
    elif isinstance(node, yaml.MappingNode):
        for name, inner in node.value:
            key = above if name.value in _LEVELS else f"{above}.{name.value}".lstrip(".")
            yield key, name.start_mark.line + 1
            yield from _keys(inner, key)
