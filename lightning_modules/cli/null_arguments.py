"""Arguments of a class that are null and must not be."""

from collections.abc import Iterable
from types import NoneType
from typing import Any, get_args

from lightning_fabric.utilities.exceptions import MisconfigurationException

from lightning_modules.cli.registry import argument_hints, class_at


def refuse_nulls(section: str, spec: Any, unknown: Iterable[str]) -> None:
    """Refuse null for an argument that needs a value, which the parser lets pass.

    Args:
        section: ``model`` or ``data``.
        spec: That section of the configuration, with ``class_path`` and ``init_args``, or ``None``.
        unknown: Arguments that are not known yet.

    Raises:
        MisconfigurationException: If there is one; the message names the option.
    """
    hints = argument_hints(class_at(spec["class_path"])) if spec is not None else {}
    for name, value in ((spec or {}).get("init_args") or {}).items():
        hint = hints.get(name, Any)
        if (
            value is None
            and name not in unknown
            and hint is not Any
            and hint is not NoneType
            and NoneType not in get_args(hint)
        ):
            raise MisconfigurationException(
                f"--{section}.{name} is null, but needs a value; leave it out for its default, if it has one"
            )
