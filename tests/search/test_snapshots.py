"""States are whole, few, and read newest first."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.search.snapshots import Snapshots


def newest(root: Path) -> dict[str, Any] | None:
    return Snapshots(root).newest()


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "states").iterdir())


def test_two_states_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    for number in range(4):
        # Every time a new process, as after a resumption.
        Snapshots(tmp_path).offer(
            lambda number=number: {"rounds": number, "weights": torch.full((2,), number)}, needed=True
        )
    assert files(tmp_path) == ["000003.pt", "000004.pt"]
    state = newest(tmp_path)
    assert state is not None
    assert state["rounds"] == 3
    assert torch.equal(state["weights"], torch.tensor([3, 3]))


def test_numbers_rise_beyond_those_that_are_written_with_zeros(tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    for number in (999_999, 1_000_000):
        torch.save({"rounds": number}, tmp_path / "states" / f"{number}.pt")
    assert newest(tmp_path) == {"rounds": 1_000_000}
    Snapshots(tmp_path).offer(lambda: {"rounds": 7}, needed=True)
    assert files(tmp_path) == ["1000000.pt", "1000001.pt"]


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_damaged_newest_state_falls_back_and_says_so(tmp_path: Path, kept: int) -> None:
    states = Snapshots(tmp_path)
    for number in (1, 2):
        states.offer(lambda number=number: {"rounds": number}, needed=True)
    damaged = tmp_path / "states" / "000002.pt"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.warns(UserWarning, match=rf"'{damaged}' cannot be read .*goes on from the state before it"):
        assert newest(tmp_path) == {"rounds": 1}


def test_all_states_damaged_is_no_state(tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    for number in (1, 2):
        (tmp_path / "states" / f"{number:06d}.pt").write_bytes(b"no state")
    with pytest.warns(UserWarning, match="cannot be read") as warned:
        assert newest(tmp_path) is None
    assert len(warned) == 2


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


def test_a_state_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "states").mkdir()
    torch.save({"rounds": Harmful()}, tmp_path / "states" / "000001.pt")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert newest(tmp_path) is None
    assert not Path("harmed").exists()


def test_a_state_that_is_not_needed_waits_until_it_is_worth_its_time(tmp_path: Path) -> None:
    begun = []

    def state() -> dict[str, Any]:
        begun.append(1)
        return {"rounds": len(begun)}

    impatient, patient = Snapshots(tmp_path / "impatient", patience=0.0), Snapshots(tmp_path / "patient", patience=1e9)
    for _ in range(3):
        impatient.offer(state)
    assert len(begun) == 3
    for _ in range(3):
        patient.offer(state)
    # The first tells how long it takes; the others are not even put together.
    assert len(begun) == 4
    patient.offer(state, needed=True)
    assert newest(tmp_path / "patient") == {"rounds": 5}


def test_a_write_that_fails_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Snapshots(tmp_path).offer(lambda: {"rounds": 1}, needed=True)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        Snapshots(tmp_path).offer(lambda: {"rounds": 2}, needed=True)
    assert files(tmp_path) == ["000001.pt"]
    assert newest(tmp_path) == {"rounds": 1}
