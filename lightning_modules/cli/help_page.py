"""A page of ``--help``: sections of options, laid out to the width of the terminal."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_WIDEST_FLAG, _LEAST_TEXT = 34, 11


@dataclass
class HelpPage:
    """What ``--help`` says of a verb or of a class.

    Attributes:
        usage: How a command line is written; empty if that would only repeat all options.
        description: What the verb does.
        sections: Titles, each with options as they are written and what they do.
        epilog: The last paragraph.
        options: All options, and whether options of their own may follow after a dot.
    """

    usage: str = ""
    description: str = ""
    sections: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    epilog: str = ""
    options: dict[str, bool] = field(default_factory=dict)

    def options_of(self, verb: str) -> dict[str, bool]:
        """Return the options, the verb's own with and without prefix."""
        own = f"--{verb}."
        return self.options | {
            f"--{each.removeprefix(own)}": nests for each, nests in self.options.items() if each.startswith(own)
        }

    def text(self) -> str:
        """Return the page as it is printed."""
        columns = shutil.get_terminal_size().columns - 2
        usage = f"usage: {self.usage}" if self.usage else ""
        widest = max((len(flags) for _, entries in self.sections for flags, _ in entries), default=0)
        indent = min(widest + 4, _WIDEST_FLAG, max(columns - 20, 4))
        sections = ["\n".join(_section(title, entries, indent, columns)) for title, entries in self.sections]
        paragraphs = [usage, textwrap.fill(self.description, columns), *sections, textwrap.fill(self.epilog, columns)]
        return "\n\n".join(filter(None, paragraphs)) + "\n"


def _section(title: str, entries: Sequence[tuple[str, str]], indent: int, columns: int) -> Iterator[str]:
    yield f"{title}:"
    for flags, text in entries:
        lines = textwrap.wrap(" ".join(text.split()), max(columns - indent, _LEAST_TEXT)) or [""]
        fits = len(flags) + 4 <= indent
        yield f"  {flags:{indent - 2}}{lines[0]}".rstrip() if fits else f"  {flags}"
        yield from (f"{'':{indent}}{line}" for line in lines[fits:])
