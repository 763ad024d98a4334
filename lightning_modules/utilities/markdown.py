"""Tables and names in markdown."""

import re
from collections.abc import Sequence

_LONGEST_NAME = 70


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table that shows every cell as it is."""
    lines = [header, ["---"] * len(header), *([literal(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def literal(text: str) -> str:
    """Return markdown that shows a text as it is: a formula's ``**`` is a power and not bold."""
    return re.sub(r"([\\`*|])", r"\\\1", text)


def short(name: str, width: int = _LONGEST_NAME) -> str:
    """Cut a name to what there is room for, by default in a table."""
    return name if len(name) <= width else f"{name[: width - 4]} ..."
