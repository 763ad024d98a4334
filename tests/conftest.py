"""Fixtures that several test files share, and how many processes run the tests."""

import gc
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from lightning_fabric.utilities import registry

from tests.blank_pictures import leave_pictures_blank

_MOST_WORKERS = 4
#: Folders whose files take longest. They come first, so that no process waits for the last file of another, after those
#: that compile kernels: later tests find the machine code on disk, and copies of the checkout take it with them.
_FIRST = ("populations", "docs", "cli", "polish", "search", "stored", "agents", "multitask")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in a process per core, and tests that are named on the command line in this process."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return min(os.cpu_count() or 1, _MOST_WORKERS) if whole else 0


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist hand out files in the order of :func:`pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders that compile kernels and those that take longest."""
    tests = Path(__file__).parent
    ranks = {folder: rank for rank, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.relative_to(tests).parts[0], len(ranks)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave pictures blank before any fixture of a test is made, unless it looks at them."""
    leave_pictures_blank(item.get_closest_marker("draws") is None)


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


@pytest.fixture(scope="session", autouse=True)
def installed_callbacks_are_found_once() -> Iterator[None]:
    """Every Trainer looks for callbacks in all installed packages, which takes longer than building the rest of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lru_cache(registry.entry_points))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real data sets; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder}")
    return folder
