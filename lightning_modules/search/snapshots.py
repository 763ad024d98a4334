"""Tells a search's state from what only looks like one."""

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from lightning_modules.utilities.files import save_tensors
from lightning_modules.utilities.serialization import load_plain, shortened


class Stateful(Protocol):
    """A part of a search whose state can be stored."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102 (described above)

    def load_state_dict(self, state: dict[str, Any]) -> None: ...  # noqa: D102 (described above)


#: What the schedule stores, which is looked at from outside: taking it over would change the recommender.
_SCHEDULE = {"origin": int, "moves": int, "weights": Mapping, "score": float | None}


def check_state(state: Any, parts: Mapping[str, Stateful]) -> None:
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


#: Name of the folder inside a study's folder.
STATES_NAME = "states"
_KEPT = 2


class Snapshots:
    """Writes states under rising numbers and reads the newest that can be read.

    A state spares the work since the one before it, and no more than that: the ledger holds what was trained. So one is
    written only when the search has spent many times longer than the last writing took, unless it is needed.

    Args:
        root: The study's folder.
        patience: How many times longer.
        check: Raises if what a file holds is no state that the search can go on from.
    """

    def __init__(self, root: Path, patience: float = 50.0, check: Callable[[Any], object] = lambda _: None) -> None:
        self.folder = root / STATES_NAME
        self.patience = patience
        self.check = check
        self._seconds = 0.0
        self._written = time.perf_counter()

    def offer(self, state: Callable[[], dict[str, Any]], *, needed: bool = False) -> None:
        """Write a state if it is time to, or needed; two are kept.

        Raises:
            OSError: If it cannot be written.
        """
        begin = time.perf_counter()
        if not needed and begin - self._written < self.patience * self._seconds:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max(map(_number, self._files()), default=0) + 1
        save_tensors(self.folder / f"{number:06d}.pt", state())
        for old in self._files()[:-_KEPT]:
            old.unlink()
        self._written = time.perf_counter()
        self._seconds = self._written - begin

    def newest(self) -> dict[str, Any] | None:
        """Return the newest state that can be used, with a warning for each that cannot; ``None`` if there is none."""
        for path in reversed(self._files()):
            try:
                state: dict[str, Any] = load_plain(path)
                self.check(state)
                return state
            except Exception as error:  # whatever torch's parser, or a part of the search, meets in a damaged file
                warnings.warn(
                    f"'{path}' cannot be read as a state ({type(error).__name__}: {shortened(error)}); the "
                    "search goes on from the state before it",
                    stacklevel=2,
                )
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.pt"), key=_number)


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
