"""The machine code that is kept on disk."""

import importlib
import sys
import time
from pathlib import Path

import pytest

from lightning_modules.utilities import compiled
from lightning_modules.utilities.signals import time_limit

CALLER = """
from lightning_modules.utilities.compiled import compiled
from called_kernels import called

@compiled
def caller(number):
    return called(number) + 1
"""
CALLED = """
from lightning_modules.utilities.compiled import compiled

@compiled
def called(number):
    return number * {factor}
"""


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "calling_kernels.py").write_text(CALLER)
    results = []
    for factor in (2, 3):
        (tmp_path / "called_kernels.py").write_text(CALLED.format(factor=factor))
        for name in ("called_kernels", "calling_kernels"):
            sys.modules.pop(name, None)
        # As in a new process.
        compiled._digest.cache_clear()
        importlib.invalidate_caches()
        results.append(importlib.import_module("calling_kernels").caller(5))
    assert results == [11, 16]
    assert list(tmp_path.glob("__pycache__/*.nbi"))


def test_a_time_limit_neither_interrupts_a_compilation_nor_counts_it() -> None:
    @compiled.compiled
    def kernel(number: complex) -> complex:
        return number + 1

    kernel._cache.disable()  # type: ignore[attr-defined]  # of numba
    start = time.monotonic()
    # Each type of number is compiled for, which takes some .1 s at least.
    for number in (1, 1.0, 1j):
        with time_limit(0.02):
            assert kernel(number) == number + 1
    assert time.monotonic() - start > 3 * 0.02
