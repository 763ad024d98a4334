"""The files of a polish, from which it goes on after it was stopped."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lightning_modules.files import load_arrays, replace_file, save_arrays
from lightning_modules.polish.training import Tested

_KEY = ["arm", "seed"]


class Records:
    """Every tested model of a polish, on disk before the next training starts.

    ``results.csv`` has one row a model, ``seed_N/`` its checkpoint and ``seed_N/*.npz`` its probabilities.

    Args:
        root: The folder of the polish; made if it is not there.
        writes: Whether this process writes; the others of a distributed run only remember.

    Raises:
        ValueError: If a file there cannot be read.
    """

    def __init__(self, root: Path, *, writes: bool = True) -> None:
        self.root = root
        self.writes = writes
        self._rows = _read(root / "results.csv")

    @property
    def results(self) -> pd.DataFrame:
        """One row an arm and seed, as ``results.csv`` has it."""
        return pd.DataFrame(self._rows)

    def has(self, arm: str, seed: int) -> bool:
        """Return whether this arm was trained and tested with this seed."""
        return any(row["arm"] == arm and row["seed"] == seed for row in self._rows)

    def checkpoint(self, arm: str, seed: int) -> Path:
        """Return where the model's weights lie; its folder is made."""
        folder = self.root / f"seed_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{_file_name(arm)}.ckpt"

    def critics(self, seed: int, given: str | None) -> Path:
        """Return where the critics of a seed lie: in the given file, or else beside the seed's other checkpoints.

        Raises:
            FileNotFoundError: If the given file is not there.
        """
        if given is None:
            return self.checkpoint("critics", seed)
        if not Path(given).is_file():
            raise FileNotFoundError(f"there is no '{given}'; name the checkpoint of an agent as --polish.critics")
        return Path(given)

    def add(self, arm: str, seed: int, tested: Tested) -> Mapping[str, Any]:
        """Write a tested model and return its row."""
        if tested.probability is not None and self.writes:
            save_arrays(self._predictions(arm, seed), {"test": tested.probability.numpy()})
        metrics = {name.replace("/", "_"): value for name, value in tested.metrics.items()}
        row = {"arm": arm, "seed": seed, "epoch": tested.epoch, "seconds": round(tested.seconds, 3), **metrics}
        self._rows.append(row)
        if self.writes:
            table = pd.DataFrame(self._rows)
            replace_file(self.root / "results.csv", lambda path: table.to_csv(path, index=False))
        return row

    def probabilities(self, arm: str, seeds: Sequence[int]) -> Tensor | None:
        """Return the probabilities of the test rows, float32 [seeds, n, tasks]; None if a seed has none."""
        files = [self._predictions(arm, seed) for seed in seeds]
        if not all(file.is_file() for file in files):
            return None
        return torch.stack([torch.from_numpy(load_arrays(file)["test"]) for file in files])

    def _predictions(self, arm: str, seed: int) -> Path:
        return self.checkpoint(arm, seed).with_suffix(".npz")


def _file_name(arm: str) -> str:
    return re.sub(r"[^\w.]+", "_", arm).strip("_")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        table = pd.read_csv(path)
        missing = [name for name in _KEY if name not in table]
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}); correct it, or name another --polish.root") from error
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; name another --polish.root")
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
