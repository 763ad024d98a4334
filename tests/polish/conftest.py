import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _little_garbage() -> Iterator[None]:
    """Every training collects garbage, which is slow only because the tests have imported so much."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
