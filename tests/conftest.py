"""Fixtures that several test files share, and how many processes run the tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

_MOST_WORKERS = 4


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in a process per core, and tests that are named on the command line in this process."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return min(os.cpu_count() or 1, _MOST_WORKERS) if whole else 0


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two busy threads on two busy cores make small operations fifty times slower."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def imports_are_no_garbage() -> Iterator[None]:
    """Every training collects garbage, which is slow only because the tests have imported so much."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real data sets; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder}")
    return folder
