"""The files of a polish, from which an interrupted one continues."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lightning_modules.polish.training import Tested
from lightning_modules.training.predictions import load_scores, refuse_rounded, save_scores
from lightning_modules.utilities.files import replace_file

_KINDS: Mapping[str, Callable[[str], Any]] = {"arm": str, "seed": int, "epoch": int, "limited": str}
_NEEDED = ("arm", "seed", "epoch", "seconds")
_LIMITED = {True: "yes", False: "no"}


class PolishRecords:
    """Every tested model of a polish, on disk before the next training starts.

    ``results.csv`` has one row a model, ``seed_N/`` its checkpoint and ``seed_N/*.npz`` its logits.

    Args:
        root: The folder of the polish; made if it is not there.

    Raises:
        ValueError: If a file there cannot be read, or holds an earlier version's probabilities that rank nothing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        refuse_rounded(root.glob("seed_*/*.npz"))
        self._rows = _read(root / "results.csv")

    @property
    def is_empty(self) -> bool:
        """Whether no model is there yet."""
        return not self._rows

    @property
    def words(self) -> str:
        """What there is, for a reader."""
        return f"{len(self._rows)} tested models"

    def results(self, arms: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
        """Return one row an arm and seed, in this order, with the columns of ``results.csv``."""
        found = (self._row(arm, seed) for arm in arms for seed in seeds)
        return pd.DataFrame([row for row in found if row is not None])

    def has(self, arm: str, seed: int) -> bool:
        """Return whether this arm was trained and tested with this seed, and its files are still there."""
        row, files = self._row(arm, seed), (self.checkpoint(arm, seed), self._predictions(arm, seed))
        return row is not None and (not row["epoch"] or all(file.is_file() for file in files))

    def checkpoint(self, arm: str, seed: int) -> Path:
        """Return the path of an arm's checkpoint; its folder is made."""
        folder = self.root / f"seed_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{file_name(arm)}.ckpt"

    def critics(self, seed: int, given: str | None) -> Path:
        """Return the path of a seed's critics: the given file, or else one beside the seed's other checkpoints."""
        return self.checkpoint("critics", seed) if given is None else Path(given)

    def add(self, arm: str, seed: int, tested: Tested) -> Mapping[str, Any]:
        """Write a tested model, in place of one that was there before, and return its row."""
        if tested.logit is not None:
            save_scores(self._predictions(arm, seed), {"test": tested.logit})
        metrics = {metric_column(name): value for name, value in tested.metrics.items()}
        training = {"epoch": tested.epoch, "seconds": round(tested.seconds, 3), "limited": _LIMITED[tested.limited]}
        row = {"arm": arm, "seed": seed, **training, **metrics}
        self._rows = [*(each for each in self._rows if each is not self._row(arm, seed)), row]
        table = pd.DataFrame(self._rows)
        replace_file(self.root / "results.csv", lambda path: table.to_csv(path, index=False))
        return row

    def logits(self, arm: str, seeds: Sequence[int]) -> Tensor | None:
        """Return the logits of the test rows, float [seeds, n, tasks]; None if a seed has none.

        Raises:
            ValueError: If a file cannot be read, or holds an earlier version's probabilities that were rounded.
        """
        files = [self._predictions(arm, seed) for seed in seeds]
        if not all(file.is_file() for file in files):
            return None
        return torch.stack([load_scores(file, "test") for file in files])

    def _row(self, arm: str, seed: int) -> dict[str, Any] | None:
        return next((row for row in self._rows if (row["arm"], row["seed"]) == (arm, seed)), None)

    def _predictions(self, arm: str, seed: int) -> Path:
        return self.checkpoint(arm, seed).with_suffix(".npz")


def metric_column(metric: str) -> str:
    """Return the column of ``results.csv`` of a metric, such as ``test/auc/click``; tasks' names may have slashes."""
    return metric.replace("/", "_")


def file_name(arm: str) -> str:
    """Return the name of an arm in the characters that file names may have."""
    return re.sub(r"[^\w.]+", "_", arm).strip("_")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
        return _rows(header, lines)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}; correct it, or name another --polish.root") from error


def _rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise ValueError(f"line {number} has {len(line)} values and not {len(header)}")
    return [
        {name: _KINDS.get(name, float)(value or "nan") for name, value in zip(header, line, strict=True)}
        for line in lines
    ]
