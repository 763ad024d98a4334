"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name beside ``path``, bring it to the disk and give it its name.

    Whoever reads ``path`` meanwhile, or after a crash, has the file as it was before or the new one, never a part.

    Args:
        path: The file; its folder exists.
        write: Writes to the path that it is given.

    Raises:
        OSError: If it cannot be written; ``path`` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
