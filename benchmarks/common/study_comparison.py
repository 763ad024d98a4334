"""Compares two studies bit for bit, wall times left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from lightning_modules.search.ledger import read_ledger, read_trials
from lightning_modules.search.snapshots import Snapshots


def differences(one: Path, other: Path, *, without: Sequence[str] = ()) -> list[str]:
    """Return where two studies differ in candidates, finished trials, formulas.csv and newest state.

    Args:
        one: Folder of a study.
        other: Folder of another.
        without: What is not compared: ``candidates``, ``trials``, ``formulas`` or ``state``.
    """
    left, right = contents(one), contents(other)
    return list(_differences({name: left[name] for name in left if name not in without}, right, ""))


def contents(root: Path) -> dict[str, Any]:
    """Return what a study's folder holds."""
    trials = {str(place): asdict(trial) for place, trial in read_trials(root).items()}
    formulas = pd.read_csv(root / "formulas.csv")
    return {
        "candidates": read_ledger(root).to_dict("records"),
        "trials": trials,
        "formulas": formulas.to_dict("records"),
        "state": Snapshots(root).newest(),
    }


def _differences(left: Any, right: Any, path: str) -> Iterator[str]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        # What is left out on the left is not looked at on the right, at the top alone.
        names = set(left) | set(right) if path else set(left)
        for name in sorted(names - {"seconds"}, key=str):
            yield from _differences(left.get(name), right.get(name), f"{path}.{name}")
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) != len(right):
            yield f"{path} has {len(left)} and {len(right)} entries"
        for number, (first, second) in enumerate(zip(left, right, strict=False)):
            yield from _differences(first, second, f"{path}[{number}]")
    elif not _same(left, right):
        yield f"{path} is {left} and {right}"


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        same_kind = left.dtype == right.dtype and left.shape == right.shape
        return same_kind and left.numpy().tobytes() == right.numpy().tobytes()
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        return False
    return type(left) is type(right) and (left == right or (left != left and right != right))
