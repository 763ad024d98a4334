from pathlib import Path

import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import SEARCH


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished search; tests only read it."""
    root = tmp_path_factory.mktemp("study") / "study"
    assert main([*SEARCH, f"--search.root={root}"]) == 0
    return root


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
