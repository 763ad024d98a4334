from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.common.fork_server import ForkServer
from lightning_modules.cli.main import main
from lightning_modules.search import command
from lightning_modules.search.reports.tensorboard import SearchTensorBoard
from tests.cli.cli_helpers import STUDY
from tests.search.small_studies import NoFigures


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished search; tests only read it."""
    root = tmp_path_factory.mktemp("study") / "study"
    assert main([*STUDY, f"--search.root={root}"]) == 0
    return root


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """Starts commands in processes of their own, which have imported everything and leave pictures blank."""
    server = ForkServer("tests.blank_pictures")
    yield server
    server.close()


@pytest.fixture(scope="session")
def drawing_server() -> Iterator[ForkServer]:
    """Starts commands whose files are as large as they are for users, pictures included."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures of a search, which take as long as its trainings."""
    monkeypatch.setattr(command, "SearchTensorBoard", partial(SearchTensorBoard, figures=0))
    monkeypatch.setattr(command, "PictureFile", NoFigures)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
