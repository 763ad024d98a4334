"""The stored runs, unpacked."""

import shutil
import tarfile
from pathlib import Path

import pytest

from tests.stored.make import ARCHIVE


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(ARCHIVE) as archive:
        # Python 3.11.3 has no filters, and the archive is the project's own.
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder


@pytest.fixture(autouse=True)
def _among_the_stored_runs(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(unpacked, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
