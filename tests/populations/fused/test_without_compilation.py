"""Kernels mean the same as Python that is not compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: What a test must be called to run again, without compilation, which takes a thousand times as long.
QUICK = (
    "plan_names or not_finite or (dense_optimizers and SGD) "
    "or (torchs_modules and Adagrad) or (torchs_modules and AdamW)"
)


@pytest.mark.slow
def test_kernels_mean_the_same_without_compilation() -> None:
    files = [str(Path(__file__).with_name(name)) for name in ("test_kernels.py", "test_deep_mf.py")]
    options = ["-q", "-x", "-p", "no:cacheprovider", "--numprocesses=0", "-m", "", "-k", QUICK]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", *options, *files]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
