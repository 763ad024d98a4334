"""The files of a comparison, from which an interrupted one continues."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lightning_modules.compare.criteria import AreaUnderCurve, Criterion
from lightning_modules.compare.training import Measured
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.predictions import load_scores, refuse_rounded, save_scores
from lightning_modules.training.statuses import FAILED, TRAINED
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.files import load_arrays, replace_file, save_arrays

_KEY = ["loss", "seed", "learning_rate", "weight_decay"]
# Columns of the options that are tuned; empty for losses that do not have them.
_OPTION = "loss."
_NEEDED = {*_KEY, "status", "score"}
_SPLITS = ("validation", "test")


class ComparisonRecords:
    """Every training of a comparison, on disk before the next one starts.

    ``trainings.csv`` holds all trainings with their validation metrics, ``results.csv`` those with the chosen settings,
    tested, ``predictions/`` their scores of the rows.

    Args:
        root: The comparison's folder; made if it is not there.
        criterion: What the losses are compared by; by default the AUC.
        writes: Whether this process writes; the others of a distributed run keep the rows in memory.

    Raises:
        ValueError: If a file there cannot be read, or holds an earlier version's probabilities that rank nothing.
    """

    def __init__(self, root: Path, criterion: Criterion | None = None, *, writes: bool = True) -> None:
        self.root = root
        self.criterion = AreaUnderCurve() if criterion is None else criterion
        self.writes = writes
        refuse_rounded((root / "predictions").glob("*.npz"))
        self._trainings = _read(root / "trainings.csv")
        self._results = _read(root / "results.csv")

    @property
    def results(self) -> pd.DataFrame:
        """One row a loss and seed, as ``results.csv`` has it."""
        return pd.DataFrame(self._results)

    @property
    def is_empty(self) -> bool:
        """Whether there is no training yet."""
        return not self._trainings and not self._results

    @property
    def words(self) -> str:
        """What there is, for a reader."""
        return f"{len(self._trainings)} trainings that choose settings, {len(self._results)} that are tested"

    def training(self, loss: str, seed: int, setting: Setting) -> Mapping[str, Any] | None:
        """Return the row of a training that is done, or ``None``; one that failed with an error is not done."""
        return _find(self._trainings, loss, seed, setting)

    def result(self, loss: str, seed: int, setting: Setting, *, with_failed: bool = False) -> Mapping[str, Any] | None:
        """Return the row of a tested training, or ``None``; one that failed with an error is not done."""
        return _find(self._results, loss, seed, setting, with_failed=with_failed)

    def add_training(self, loss: str, seed: int, setting: Setting, training: TrainingRun) -> Mapping[str, Any]:
        """Write a training and return its row."""
        row = _row(loss, seed, setting, training)
        self._trainings = [each for each in self._trainings if not _matches(each, loss, seed, setting)]
        self._trainings.append(row)
        self._write("trainings.csv", self._trainings)
        return row

    def add_result(
        self, loss: str, seed: int, setting: Setting, training: TrainingRun, measured: Measured | None
    ) -> Mapping[str, Any]:
        """Write a training that was tested, or that left nothing to test, and return its row."""
        row = _row(loss, seed, setting, training)
        if measured is not None:
            row |= {name: value for name, value in _metrics(measured.metrics, "val").items() if name not in row}
            row |= _metrics(measured.metrics, "test")
            row |= self._errors(measured)
            row |= {"predictions": _file_name(loss, seed)}
            self._write_predictions(loss, seed, measured)
        # Another setting may have been chosen since, for instance from a larger grid.
        self._results = [each for each in self._results if (each["loss"], each["seed"]) != (loss, seed)]
        self._results.append(row)
        self._write("results.csv", self._results)
        return row

    def test_scores(self, loss: str, seeds: Sequence[int]) -> Tensor:
        """Return the scores of the test rows, float ``[seeds, rows]``; raises like :func:`load_scores`."""
        return torch.stack([load_scores(self._predictions(loss, seed), "test") for seed in seeds])

    def rows(self, split: str) -> tuple[Tensor, Tensor]:
        """Return the labels and users of the rows of ``validation`` or ``test``."""
        arrays = load_arrays(self.root / "predictions" / "rows.npz")
        return torch.from_numpy(arrays[f"{split}_label"]), torch.from_numpy(arrays[f"{split}_user"])

    def _predictions(self, loss: str, seed: int) -> Path:
        return self.root / "predictions" / f"{_file_name(loss, seed)}.npz"

    def _errors(self, measured: Measured) -> dict[str, float]:
        splits = {"val": measured.validation, "test": measured.test}
        error, metric = self.criterion.standard_error, self.criterion.metric
        return {f"{split}_{metric}_se": error(scores) for split, scores in splits.items()}

    def _write_predictions(self, loss: str, seed: int, measured: Measured) -> None:
        if not self.writes:
            return
        both = {"validation": measured.validation, "test": measured.test}
        (self.root / "predictions").mkdir(parents=True, exist_ok=True)
        rows = self.root / "predictions" / "rows.npz"
        if not rows.exists():
            labels = {f"{split}_label": both[split].label.numpy() for split in _SPLITS}
            users = {f"{split}_user": both[split].user.numpy() for split in _SPLITS}
            save_arrays(rows, labels | users)
        save_scores(self._predictions(loss, seed), {split: both[split].score for split in _SPLITS})

    def _write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.writes:
            self.root.mkdir(parents=True, exist_ok=True)
            table = pd.DataFrame(rows)
            replace_file(self.root / name, lambda path: table.to_csv(path, index=False))


def _row(loss: str, seed: int, setting: Setting, training: TrainingRun) -> dict[str, Any]:
    score = training.score if training.status == TRAINED else None
    return {
        "loss": loss,
        "seed": seed,
        "learning_rate": setting.learning_rate,
        "weight_decay": setting.weight_decay,
        **{f"{_OPTION}{name}": value for name, value in setting.options},
        "status": training.status,
        "score": score,
        "epoch": training.epoch,
        "epochs": training.epochs,
        "converged": training.converged,
        "seconds": round(training.seconds, 3),
        "error": training.error,
        **_metrics(training.metrics, "val"),
    }


def _metrics(metrics: Mapping[str, float], split: str) -> dict[str, float]:
    return {name.replace("/", "_"): value for name, value in metrics.items() if name.startswith(f"{split}/")}


def _find(
    rows: Sequence[Mapping[str, Any]], loss: str, seed: int, setting: Setting, *, with_failed: bool = False
) -> Mapping[str, Any] | None:
    matching = (row for row in rows if _matches(row, loss, seed, setting))
    return next((row for row in matching if with_failed or row["status"] != FAILED), None)


def _matches(row: Mapping[str, Any], loss: str, seed: int, setting: Setting) -> bool:
    own = {name: value for name, value in row.items() if name.startswith(_OPTION) and value == value}
    expected = {f"{_OPTION}{name}": value for name, value in setting.options}
    return [row[key] for key in _KEY] == [loss, seed, setting.learning_rate, setting.weight_decay] and own == expected


def _read_exactly(path: Path) -> pd.DataFrame:
    """Read a table with Python's parser of floats: pandas before 3.1 rounds the last digit of some wrongly."""
    exact = dict.fromkeys(("learning_rate", "weight_decay"), float)
    table = pd.read_csv(path, converters=exact, dtype={"error": "str"}).fillna({"error": ""})
    text = pd.read_csv(path, dtype="str")
    for name in table.columns[table.dtypes == "float64"]:
        table[name] = text[name].map(float)
    return table


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        table = _read_exactly(path)
        missing = _NEEDED - set(table.columns)
    except (ValueError, KeyError) as error:
        reason = str(error).strip()
        raise ValueError(f"{path} cannot be read ({reason}); correct it, or name another --compare.root") from error
    if missing:
        raise ValueError(f"{path} has no column {', '.join(sorted(missing))}; name another --compare.root")
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def readable(loss: str) -> str:
    """Return a loss's name or formula in the characters that file names may have."""
    return re.sub(r"[^\w.]+", "_", loss)[:40].strip("_")


def _file_name(loss: str, seed: int) -> str:
    """Return the stem of the files of a loss and seed."""
    return f"{readable(loss)}-{hashlib.sha256(loss.encode()).hexdigest()[:8]}-{seed}"
