"""Tells a search's state from what only looks like one."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class Part(Protocol):
    """A part of a search whose state can be stored."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102 (described above)

    def load_state_dict(self, state: dict[str, Any]) -> None: ...  # noqa: D102 (described above)


#: What the schedule stores, which is looked at from outside: taking it over would change the recommender.
_SCHEDULE = {"origin": int, "moves": int, "weights": Mapping, "score": float | None}


def check_state(state: Any, parts: Mapping[str, Part]) -> None:
    """Refuse what no search with these options has left, whatever is wrong with it.

    Args:
        state: What a file of a state holds.
        parts: New parts of a search by the names that a state has for them; they take the state over.

    Raises:
        Exception: Whatever a part raises where the state is of the right shape and yet cannot be used.
        ValueError: If the state is not of the shape of a new search's.
    """
    problem = _mismatch({"rounds": 0, "warm_up": 0, "schedule": {"origin": 0}}, state, "the state")
    if problem:
        raise ValueError(problem)
    if state["rounds"] < 0 or state["warm_up"] < 0:
        raise ValueError(f"the state is one of round {state['rounds']} after {state['warm_up']} updates")
    for name, kind in _SCHEDULE.items():
        if name in state["schedule"] and not isinstance(state["schedule"][name], kind):
            raise ValueError(f"the state's {name} is a {type(state['schedule'][name]).__name__}")
    for name, part in parts.items():
        problem = _mismatch(part.state_dict(), state.get(name), name)
        if problem:
            raise ValueError(problem)
        part.load_state_dict(state[name])


def _mismatch(expected: Any, found: Any, name: str) -> str:
    """Return how a value differs in kind from another; nothing if it does not, or if there is nothing to compare."""
    if expected is None:
        return ""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return f"{name} is a {type(found).__name__}"
        pairs = ((key, each, found.get(key)) for key, each in expected.items())
        return next(filter(None, (_mismatch(each, own, f"{name}: {key}") for key, each, own in pairs)), "")
    if type(found) is not type(expected):
        return f"{name} is a {type(found).__name__} and no {type(expected).__name__}"
    if isinstance(expected, Tensor) and (found.dtype, found.dim()) != (expected.dtype, expected.dim()):
        return f"{name} is a tensor of {found.dim()} dimensions of {found.dtype}"
    return ""
