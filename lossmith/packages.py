"""The packages that come with ``lossmith`` and lie beside it, and what is said where another project hides them."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("lightning_modules", "datamodules", "callbacks")


def refuse_hidden(packages: Sequence[str] = PACKAGES) -> None:
    """Refuse to go on where Python finds another project's package under the name of one of these.

    Args:
        packages: The names.

    Raises:
        ImportError: If that is so; the message names the file that stands in the way.
    """
    home = Path(__file__).resolve().parents[1]
    for name in packages:
        found = _place_of(_spec_of(name))
        if found is None:
            raise ImportError(f"lossmith needs its package '{name}', which is not installed: install lossmith again")
        if found.parent != home:
            shown = next((file for file in (found / "__init__.py", found) if file.exists()), found)
            raise ImportError(
                f"'{shown}' stands in the way of '{home / name}', a package of lossmith, since both are called "
                f"'{name}': rename yours, start Python in another folder, or put '{home}' before '{found.parent}' in "
                "PYTHONPATH"
            )


def _spec_of(name: str) -> ModuleSpec | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    return find_spec(name)


def _place_of(spec: ModuleSpec | None) -> Path | None:
    """Return the folder of a package, or the file of a module."""
    if spec is None:
        return None
    folders = [*(spec.submodule_search_locations or ())]
    place = folders[0] if folders else spec.origin
    return None if place is None else Path(place).resolve()
