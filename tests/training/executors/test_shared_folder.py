"""What a killed owner left is removed by the next one, and what a living one has is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_modules.training.executors.shared_folder import SharedFolder, remove_orphans

ROOT = Path(__file__).resolve().parents[3]
OWNER = """
import sys, time
from lightning_modules.training.executors.shared_folder import SharedFolder
folder = SharedFolder()
print(folder.name, flush=True)
time.sleep(100)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a folder, old enough to be taken for an orphan's."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", OWNER], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    (folder / "0.npy").write_bytes(b"shared")
    make_old(folder)
    yield process
    process.kill()
    process.wait()


def make_old(folder: Path) -> None:
    past = time.time() - 3600
    os.utime(folder / "owner", (past, past))


@pytest.mark.timeout(60)
def test_a_living_owner_keeps_its_folder_and_a_killed_one_s_goes(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    (folder,) = tmp_path.glob(f"lossmith-{owner.pid}-*")
    remove_orphans(tmp_path)
    assert (folder / "0.npy").read_bytes() == b"shared"
    make_old(folder)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    semaphores = [Path("/dev/shm") / f"sem.loky-{owner.pid}{rest}-orphan" for rest in ("", "0")]
    if Path("/dev/shm").is_dir():
        for semaphore in semaphores:
            semaphore.write_bytes(b"")
    remove_orphans(tmp_path)
    assert not folder.exists()
    assert not semaphores[0].exists()
    # That of another process.
    semaphores[1].unlink()


def test_a_folder_goes_with_its_owner_s_consent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = SharedFolder()
    assert Path(folder.name).parent == tmp_path
    folder.cleanup()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lossmith-abc", "lossmith-12-x", "others"])
def test_what_no_owner_has_locked_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    remove_orphans(tmp_path)
    assert (tmp_path / name).is_dir()
