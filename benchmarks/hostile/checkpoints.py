"""Checkpoints that are none, or of something else, or whose parts are of another kind."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.hostile.base import (
    AGENT,
    COMMANDS,
    FIT,
    IMPRESSIONS,
    INTERACTIONS,
    MODEL,
    POLISH,
    QUIET,
    SESSIONS,
    SEVERAL_TASKS,
    TRAINER,
)
from benchmarks.hostile.files import ANYTHING, PATHS, Write
from benchmarks.hostile.running import HostileInput

_ANY = (0, 1, 2)
_SEVERAL = ("fit", *IMPRESSIONS, *TRAINER, *QUIET)
#: Where a checkpoint is asked for: the command, the option, and a sound checkpoint.
_OPTIONS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "fit": (FIT, "--ckpt_path=", MODEL),
    "validate": (COMMANDS["validate"], "--ckpt_path=", MODEL),
    "test": (COMMANDS["test"], "--ckpt_path=", MODEL),
    "predict": (COMMANDS["predict"], "--ckpt_path=", MODEL),
    "predict without a model": (("predict", *INTERACTIONS[2:], *TRAINER, *QUIET), "--ckpt_path=", MODEL),
    "onnx": (("export", "--to=onnx", "--output=model.onnx"), "", MODEL),
    "critics": ((*_SEVERAL, "--model.loss=CriticWeightedLoss"), "--model.loss.agent=", AGENT),
    "actor": (("fit", "--model=DDPG", *SESSIONS, *TRAINER, *QUIET), "--model.actor=", SEVERAL_TASKS),
    "polish": (POLISH, "--critics=", AGENT),
}


class _Touch:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def _deep(value: Any, depth: int = 150) -> Any:
    for _ in range(depth):
        value = [value]
    return value


#: What a checkpoint becomes, from what it was.
_CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda stored: [stored],
    "a number": lambda _: 7,
    "a tensor": lambda _: torch.zeros(3),
    "no keys": lambda _: {},
    "weights alone": lambda stored: stored["state_dict"],
    "keys that are numbers": lambda _: {1: 2, 3: 4},
    "a deep list": _deep,
    "no weights": lambda stored: {name: value for name, value in stored.items() if name != "state_dict"},
    **{
        f"{key} = {str(value)[:30]}": lambda stored, key=key, value=value: stored | {key: value}
        for key in ("state_dict", "hyper_parameters", "optimizer_states", "loops", "callbacks", "training_state")
        for value in ("x", None, [1], {"a": 1}, {1: [2]}, 7)
    },
    **{
        f"{key} = {str(value)[:30]}": lambda stored, key=key, value=value: stored | {key: value}
        for key in ("epoch", "global_step", "pytorch-lightning_version", "lr_schedulers", "hparams_name")
        for value in ("x", None, -1, [1], 10**30)
    },
    **{
        f"hyper-parameter {key} = {str(value)[:30]}": lambda stored, key=key, value=value: (
            stored | {"hyper_parameters": stored["hyper_parameters"] | {key: value}}
        )
        for key in (
            "_class_path",
            "_instantiator",
            "embedding_dim",
            "num_users",
            "loss",
            "optimizer",
            "tasks",
            "nothing",
        )
        for value in (
            "os.system",
            7,
            None,
            {"class_path": "os.system", "init_args": {"command": "touch ran"}},
            [1],
            10**15,
        )
    },
    "weights of another shape": lambda stored: _with_weights(stored, lambda weight: weight.reshape(-1)[:1]),
    "weights that are texts": lambda stored: _with_weights(stored, lambda _: "x"),
    "weights that are integers": lambda stored: _with_weights(stored, lambda weight: weight.long()),
    "weights that are complex": lambda stored: _with_weights(stored, lambda weight: weight.to(torch.complex64)),
    "weights that are sparse": lambda stored: _with_weights(stored, lambda weight: weight.to_sparse()),
    "weights that are not a number": lambda stored: _with_weights(stored, lambda weight: weight * float("nan")),
    "weights on no device": lambda stored: _with_weights(stored, lambda weight: weight.to("meta")),
}


def _with_weights(stored: dict[str, Any], change: Callable[[torch.Tensor], Any]) -> dict[str, Any]:
    return stored | {"state_dict": {name: change(weight) for name, weight in stored["state_dict"].items()}}


def inputs() -> Iterator[HostileInput]:
    """Yield the command lines."""
    kind = "a checkpoint"
    for reader, (command, option, _) in _OPTIONS.items():
        for path in (*PATHS, "last", "best", "hpc", "registry", "file:///none", "http://127.0.0.1:9/x", "[a]", "7"):
            prepare = (lambda folder: os.mkfifo(folder / "pipe"),)
            yield HostileInput(f"{kind}'s path", f"{reader}: {path[:40]!a}", (*command, option + path), prepare, _ANY)
        for name, write in ANYTHING.items():
            yield _of(reader, kind, name, command, option, write)
        yield _of(reader, kind, "a pickle that runs a command", command, option, _pickle)
        yield _of(reader, kind, "a zip that runs a command", command, option, lambda path: torch.save(_Touch(), path))
    yield from _changed(kind)
    yield from _last(kind)


def _changed(kind: str) -> Iterator[HostileInput]:
    readers = [*_OPTIONS]
    for place, (name, change) in enumerate(_CHANGES.items()):
        for reader in {"fit", readers[1 + place % (len(readers) - 1)]}:
            command, option, sound = _OPTIONS[reader]
            yield _of(reader, kind, name, command, option, _change(sound, change))


def _last(kind: str) -> Iterator[HostileInput]:
    """Yield trainings that go on from the newest checkpoint of a run, which is none."""
    command = (*FIT[:-2], "--trainer.default_root_dir=runs", "--trainer.callbacks=LastCheckpoint", "--ckpt_path=last")
    newest = "runs/lightning_logs/version_0/checkpoints/last.ckpt"
    chosen = [*_CHANGES][:44]
    for name in chosen:
        yield HostileInput(kind, f"last: {name}", command, (_begin(_change(MODEL, _CHANGES[name]), newest),), _ANY)
    for name, write in ANYTHING.items():
        yield HostileInput(kind, f"last: {name}", command, (_begin(write, newest),), _ANY)


def _begin(write: Write, newest: str) -> Write:
    def prepare(folder: Path) -> None:
        path = folder / newest
        path.parent.mkdir(parents=True)
        settings = folder.parents[1] / "base/model/lightning_logs/version_0/config.yaml"
        (path.parents[1] / "config.yaml").write_bytes(settings.read_bytes())
        write(path)

    return prepare


def _of(reader: str, kind: str, name: str, command: tuple[str, ...], option: str, write: Write) -> HostileInput:
    path = "hostile.ckpt"
    prepare = (lambda folder: write(folder / path),)
    return HostileInput(kind, f"{reader}: {name}", (*command, option + path), prepare, _ANY)


def _change(sound: str, change: Callable[[dict[str, Any]], Any]) -> Write:
    def write(path: Path) -> None:
        base = (path.parents[1] if path.name == "hostile.ckpt" else path.parents[5]).parent / "base"
        torch.save(change(torch.load(base / sound, weights_only=True)), path)

    return write


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Touch()))
