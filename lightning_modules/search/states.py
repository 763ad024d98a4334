"""Where a search stands, on disk, so that it can go on after whatever ended it."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_modules.checkpoints import load_plain, shortened
from lightning_modules.files import save_tensors

#: Name of the folder inside a study's folder.
STATES_NAME = "states"
_KEPT = 2


class States:
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
