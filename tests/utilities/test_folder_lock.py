"""One process writes to a folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lightning_modules.utilities.folder_lock import folder_lock

_HOLDER = """
import sys, time
from pathlib import Path
from lightning_modules.utilities.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), "search", "name another"):
    print("held", flush=True)
    time.sleep(100)
"""


def lock(root: Path) -> AbstractContextManager[None]:
    return folder_lock(root, "search", "name another")


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path / "study"``."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "study")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.timeout(60)
def test_a_second_process_is_refused_and_told_of_the_first(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=rf"'{tmp_path / 'study'}' is .*process {holder.pid} on \S+ since 2"),
        lock(tmp_path / "study"),
    ):
        pytest.fail("two processes write")
    # The first is as it was: a third is refused in the same words.
    with pytest.raises(ValueError, match=f"process {holder.pid} "), lock(tmp_path / "study"):
        pytest.fail("two processes write")


@pytest.mark.timeout(60)
def test_the_lock_of_a_killed_process_is_taken_over(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "study" / "writer.json").exists()
    with lock(tmp_path / "study"):
        written = json.loads((tmp_path / "study" / "writer.json").read_text())
    assert written["process"] == os.getpid()


@pytest.mark.parametrize("written", ["", "{", "[]", "{}"])
def test_a_writer_that_has_not_said_who_it_is(tmp_path: Path, written: str) -> None:
    with lock(tmp_path / "study"):
        (tmp_path / "study" / "writer.json").write_text(written)
        with pytest.raises(ValueError, match="not yet said who it is"), lock(tmp_path / "study"):
            pytest.fail("there are two writers")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_lock_is_given_back_whatever_happens(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with lock(tmp_path / "new" / "study"):
            assert (tmp_path / "new" / "study" / "writer.json").exists()
            raise error

    for _ in range(2):
        with pytest.raises(error):
            fail()
        assert not (tmp_path / "new" / "study" / "writer.json").exists()
