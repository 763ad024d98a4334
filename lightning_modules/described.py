"""Objects that can be written down as plain values and built from them again."""

import inspect
import sys
from typing import Any


class Described:
    """An object that keeps its constructor's arguments as attributes of the same names, and can thereby be described.

    A description is what a configuration file holds, and what a checkpoint that loads without pickle may hold.
    """

    def init_args(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values; a class whose arguments are objects overrides this."""
        parameters = inspect.signature(type(self)).parameters.values()
        named = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
        return {name: _plain(getattr(self, name)) for name in named}

    @property
    def title(self) -> str:
        """The object's name in tables: its class, with the arguments that are not the default."""
        defaults = inspect.signature(type(self)).parameters
        changed = {name: value for name, value in self.init_args().items() if value != defaults[name].default}
        arguments = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{type(self).__name__}({arguments})" if changed else type(self).__name__

    def spec(self) -> dict[str, Any]:
        """Return the object as plain values, ``{"class_path": ..., "init_args": {...}}``, as a configuration has it.

        Raises:
            TypeError: If an argument is not a plain value and the class does not override :meth:`init_args`.
        """
        return {"class_path": _class_path(type(self)), "init_args": self.init_args()}


def _plain(value: Any) -> Any:
    if isinstance(value, Described):
        return value.spec()
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {str(name): _plain(element) for name, element in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} is not a plain value; override init_args() to say how it is written")


def _class_path(cls: type) -> str:
    """Return the shortest path under which the class can be imported: that of the package that offers it."""
    parts = cls.__module__.split(".")
    packages = (".".join(parts[:end]) for end in range(1, len(parts)))
    offered = (package for package in packages if getattr(sys.modules.get(package), cls.__name__, None) is cls)
    return f"{next(offered, cls.__module__)}.{cls.__qualname__}"
