"""Snapshots of a search: written now and then, checked when they are read."""

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from lightning_modules.utilities.files import save_tensors
from lightning_modules.utilities.serialization import load_plain, reason_of


class Stateful(Protocol):
    """A part of a search with a state that can be stored."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102 (described above)

    def load_state_dict(self, state: dict[str, Any]) -> None: ...  # noqa: D102 (described above)


#: Types in the state of the schedule, which is not loaded for the check, since that would change the recommender.
_SCHEDULE = {"origin": int, "moves": int, "weights": Mapping, "score": float | None}


def check_state(state: Any, parts: Mapping[str, Stateful]) -> None:
    """Refuse a state that no search with these options has written.

    Args:
        state: The contents of a snapshot.
        parts: New parts of a search by their names in the state; they load it.

    Raises:
        Exception: The error of a part that cannot load a state of the right types.
        ValueError: If names or types differ from those of a new search's state.
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
    """Return how the type of a value differs from the expected one; an empty text if it does not."""
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


#: Name of the snapshots' folder inside a study's folder.
SNAPSHOTS_NAME = "states"
_KEPT = 2


class Snapshots:
    """Writes the states of a search as numbered files, and reads the newest that is not damaged.

    A snapshot only spares repeating the work since the one before it, since the ledger holds all trials. It is written
    when the search has run ``patience`` times as long as the last one took to write, or when it is needed.

    Args:
        root: The study's folder.
        patience: Ratio of the time between two snapshots to the time that one takes.
        check: Raises if the search cannot continue from the contents of a file.
    """

    def __init__(self, root: Path, patience: float = 50.0, check: Callable[[Any], object] = lambda _: None) -> None:
        self.folder = root / SNAPSHOTS_NAME
        self.patience = patience
        self.check = check
        self._seconds = 0.0
        self._written = time.perf_counter()

    def offer(self, state: Callable[[], dict[str, Any]], *, needed: bool = False) -> None:
        """Write a snapshot if it is due or needed; the newest two are kept.

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
        """Return the newest usable state, with a warning for each unusable snapshot; ``None`` if there is none."""
        for path in reversed(self._files()):
            try:
                state: dict[str, Any] = load_plain(path)
                self.check(state)
                return state
            except Exception as error:  # torch's parser and the parts raise various errors on a damaged file
                warnings.warn(
                    f"'{path}' cannot be read as a state ({type(error).__name__}: {reason_of(error)}); the "
                    "search goes on from the state before it",
                    stacklevel=2,
                )
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.pt"), key=_number)


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
