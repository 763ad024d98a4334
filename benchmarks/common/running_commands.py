"""Commands that run as processes of their own, which are to be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class RunningCommand(Protocol):
    """A command that was started, the first process of its group.

    Attributes:
        pid: Its process id.
    """

    @property
    def pid(self) -> int: ...  # noqa: D102 (described above)

    def wait(self, seconds: float) -> int | None:
        """Return the exit status, the negative signal where one ended it; ``None`` if it still runs after so long."""


class Start(Protocol):
    """Starts the command line with arguments; what it prints goes to the end of a file."""

    def __call__(self, arguments: Sequence[str], output: Path) -> RunningCommand: ...  # noqa: D102 (described above)


class FreshCommand:
    """``python train.py`` in a new interpreter."""

    def __init__(self, arguments: Sequence[str], output: Path) -> None:
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "train.py", *arguments],
                cwd=REPOSITORY,
                env=ENVIRONMENT,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=heed_signals,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Return the exit status once it has ended."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def heed_signals() -> None:
    """Take signals as a process does that was started in a terminal, even where this one runs in the background."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler of its own for a signal, as the command line has for SIGTERM."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def group_ends(group: int, seconds: float) -> bool:
    """Return whether all processes of a group are gone within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
