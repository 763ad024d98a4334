"""Freed memory is kept for the next tensor."""

import ctypes
import sys

# Numbers of options in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 2**30


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors of less than 1 GiB, and up to 1 GiB of it in all.

    glibc returns tensors of 32 MiB and more, such as the scores of a block of users, to the system as soon as they are
    freed. The system then gives zeroed pages to the next one, which takes as long as a matrix product that fills it.
    Other C libraries are left as they are.
    """
    # Windows has no library by the name None, and no mallopt.
    mallopt = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
