"""Search for the loss of a recommender, check losses and compare them, from Python.

The functions do what the verbs of the command line do, and write what these write.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossmith.packages import refuse_hidden

if TYPE_CHECKING:
    from lossmith import losses
    from lossmith.adaptation import Adapted, adapt
    from lossmith.study import Answer
    from lossmith.study import SearchStudy as Study
    from lossmith.verbs import check, compare, search

__all__ = ["Adapted", "Answer", "Study", "adapt", "check", "compare", "losses", "search"]

#: Where a name is defined, and under which name.
_HOMES = {
    "Adapted": ("lossmith.adaptation", "Adapted"),
    "Answer": ("lossmith.study", "Answer"),
    "Study": ("lossmith.study", "SearchStudy"),
    "adapt": ("lossmith.adaptation", "adapt"),
    "check": ("lossmith.verbs", "check"),
    "compare": ("lossmith.verbs", "compare"),
    "search": ("lossmith.verbs", "search"),
}


def __getattr__(name: str) -> Any:
    # torch and Lightning take seconds to import, which the help of the command does without.
    if name == "losses":
        refuse_hidden()
        return import_module("lossmith.losses")
    if name not in _HOMES:
        raise AttributeError(f"module 'lossmith' has no attribute '{name}'")
    refuse_hidden()
    home, original = _HOMES[name]
    return getattr(import_module(home), original)


def __dir__() -> list[str]:
    return __all__
