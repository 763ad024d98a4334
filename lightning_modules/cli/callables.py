"""Callables that the command line builds, freed from it."""

from functools import partial
from typing import Any


def freed(value: Any) -> Any:
    """Return a class with some arguments set as just that; other values as they are.

    jsonargparse's own holds on to the parser, and so to the whole command line with its data, which whoever copies a
    model, or sends it to a worker, would copy and send with it.
    """
    if isinstance(value, partial) and len(value.args) == 2 and isinstance(value.args[1], type):
        return partial(value.args[1], **value.keywords)
    return value
