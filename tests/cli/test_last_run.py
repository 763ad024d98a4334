"""Checkpoints of unknown origin are read as data, and refused with a short reason."""

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.cli.last_run import last_checkpoint
from lightning_modules.utilities.serialization import is_file, load_checkpoint, reason_of, weights_of

WEIGHTS = {"w": torch.ones(2)}
SOUND = {"state_dict": WEIGHTS, "optimizer_states": [], "lr_schedulers": [], "loops": {}}


class Harmful:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


WRITERS: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Harmful())),
    "code": lambda path: torch.save(Harmful(), path),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_is_no_checkpoint_is_refused_and_runs_nothing(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"x.ckpt' cannot be read as a checkpoint.*; name another") as refused:
        load_checkpoint(tmp_path / "x.ckpt", "name another")
    assert len(str(refused.value)) < 500
    assert "weights_only" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", ["", "none", "/dev/zero", "/dev/null", "pipe", ".", "x" * 5000, "a\0b", "\udce4"])
def test_what_is_no_file_is_refused_at_once(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert not is_file(path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint") as refused:
        load_checkpoint(path, "name another")
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "stored", [None, [1], {}, {"state_dict": 7}, {"state_dict": {"w": "x"}}, {"state_dict": {1: WEIGHTS}}]
)
def test_weights_are_tensors_by_name_or_there_are_none(stored: Any) -> None:
    assert weights_of(stored) == {}
    assert weights_of({"state_dict": WEIGHTS}) == WEIGHTS


def test_reasons_are_one_short_line_and_never_empty() -> None:
    assert reason_of(ValueError("a\nb " * 1000)).count("\n") == 0
    assert len(reason_of(ValueError("x" * 10_000))) < 300
    assert reason_of(EOFError()) == "EOFError"


@pytest.mark.parametrize(
    "newest",
    [
        [1],
        7,
        torch.ones(1),
        {},
        {1: 2},
        SOUND | {"state_dict": [1]},
        SOUND | {"loops": "x"},
        SOUND | {"optimizer_states": 7},
    ],
    ids=str,
)
def test_a_newest_checkpoint_that_is_none_falls_back(newest: Any, tmp_path: Path) -> None:
    run = tmp_path / "lightning_logs" / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("seed_everything: 1\n")
    for age, (name, stored) in enumerate([("last.ckpt", newest), ("before.ckpt", SOUND)]):
        torch.save(stored, run / "checkpoints" / name)
        os.utime(run / "checkpoints" / name, (1_000 - age, 1_000 - age))
    with pytest.warns(UserWarning, match=r"last.ckpt .*taking .*before.ckpt instead"):
        found = last_checkpoint(tmp_path, lambda path: path.write_text("seed_everything: 1\n"), resumes=True)
    assert found.name == "before.ckpt"
