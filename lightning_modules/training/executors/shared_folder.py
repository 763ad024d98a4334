"""A temporary folder that worker processes share, which is removed even when its owner is killed."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _OWNER = "lossmith-", "owner"
#: The folder of named semaphores on Linux, and loky's names for those of a process.
_SEMAPHORES, _OF_PROCESS = Path("/dev/shm"), "sem.loky-{process}-*"  # noqa: S108 (not a place for temporary files)
#: A younger folder's owner may not have locked it yet.
_LEAST_AGE_SECONDS = 10.0


class SharedFolder:
    """A new temporary folder; making one removes orphans, folders of owners that were killed with all their workers.

    The owner holds a lock of the operating system in it, which is released when the owner dies.

    Attributes:
        name: Path of the folder.
    """

    def __init__(self) -> None:
        remove_orphans(Path(tempfile.gettempdir()))
        self._directory = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-")
        self.name = self._directory.name
        self._lock = FileLock(Path(self.name) / _OWNER)
        self._lock.acquire()

    def cleanup(self) -> None:
        """Remove the folder."""
        self._lock.release()
        self._directory.cleanup()


def remove_orphans(parent: Path) -> None:
    """Remove the folders in ``parent`` whose owners died, and the semaphores of these owners."""
    for owner in parent.glob(f"{_PREFIX}*-*/{_OWNER}"):
        # Another user's process or a second search may remove the folder meanwhile.
        with suppress(OSError, Timeout):
            if time.time() - owner.stat().st_mtime >= _LEAST_AGE_SECONDS:
                with FileLock(owner).acquire(timeout=0):
                    _remove(owner.parent)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    process = folder.name.removeprefix(_PREFIX).partition("-")[0]
    for semaphore in _SEMAPHORES.glob(_OF_PROCESS.format(process=process)) if process.isdecimal() else ():
        semaphore.unlink(missing_ok=True)
