"""A lock that lets one process at a time write to a folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_modules.utilities.files import replace_file

_LOCK, _WRITER = "lock", "writer.json"


@contextmanager
def folder_lock(root: Path, work: str, remedy: str) -> Iterator[None]:
    """Hold the exclusive right to write to a folder.

    The lock is one of the operating system, which gives it back when its holder dies, however that happens.

    Args:
        root: The folder; made if it is not there.
        work: What is done there, such as ``search``.
        remedy: What to do if another process is not to be waited for.

    Raises:
        ValueError: If another process writes there.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"'{root}' is being written by another {work} ({_writer(root)}). Wait for it or end it, or {remedy}"
        ) from None
    try:
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        who = {"process": os.getpid(), "host": socket.gethostname(), "started": started}
        replace_file(root / _WRITER, lambda path: path.write_text(json.dumps(who), encoding="utf-8"))
        yield
    finally:
        (root / _WRITER).unlink(missing_ok=True)
        lock.release()


def _writer(root: Path) -> str:
    try:
        who = json.loads((root / _WRITER).read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['host']} since {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "which has not yet said who it is"
