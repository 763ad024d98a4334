"""Configuration files that come with the project, named from any folder: ``--config search/quickstart.yaml``."""

import os
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).resolve().parents[2]
#: Where they lie: in an installation inside the package lossmith, in a checkout beside the packages.
_FOLDERS = (_HERE / "lossmith" / "configs", _HERE / "configs")
_OPTIONS = ("--config", "-c")
_PREFIX = "configs/"


def with_shipped_configs(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which a configuration that is not there, but comes with the project, has its whole path."""
    spelled = list(arguments)
    for place, argument in enumerate(spelled):
        name, equals, value = argument.partition("=")
        if name in _OPTIONS and equals:
            spelled[place] = f"{name}={_found(value)}"
        elif argument in _OPTIONS and place + 1 < len(spelled):
            spelled[place + 1] = _found(spelled[place + 1])
    return spelled


def _found(path: str) -> str:
    if os.path.lexists(path) or os.path.isabs(path) or ".." in Path(path).parts:
        return path
    # Files in this place are named so in a checkout.
    shipped = (folder / path.removeprefix(_PREFIX) for folder in _FOLDERS)
    return next((str(each) for each in shipped if each.is_file()), path)
