"""Memory of freed arrays is used again, without new pages from the system."""

import os
import subprocess
import sys

import pytest

_IS_GLIBC = "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})
_KEEP = "from lightning_modules.utilities.freed_memory import keep_freed_memory; keep_freed_memory()"
_FAULTS = """
import resource
import numpy as np
{first}
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(size, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
size = 2**26
faults(size)
print(faults(size) / (size / resource.getpagesize()))
"""


def _share_of_new_pages(first: str) -> float:
    """Return the share of new pages in the memory of an array that is as large as one just freed."""
    command = [sys.executable, "-c", _FAULTS.format(first=first)]
    # Large pages would be few.
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not _IS_GLIBC, reason="only glibc has the options")
def test_freed_memory_is_kept() -> None:
    assert _share_of_new_pages(_KEEP) < 0.01
    assert _share_of_new_pages("") > 0.9
