"""Tasks made of label columns: one column each, or several that must all be 1."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

#: For every task the label columns that must all be 1.
Tasks = dict[str, tuple[str, ...]]


def task_columns(tasks: Sequence[str] | Mapping[str, Sequence[str]]) -> Tasks:
    """Return the label columns of every task; a task given by its name alone has the column of that name.

    Raises:
        ValueError: If there are no tasks, two with one name, or one without columns.
    """
    given = dict(tasks) if isinstance(tasks, Mapping) else {name: (name,) for name in tasks}
    if not given or len(given) != len(tasks):
        raise ValueError(f"tasks are at least one, with different names; got {tasks}")
    for name, columns in given.items():
        if isinstance(columns, str) or not columns:
            raise ValueError(f"task '{name}' needs a list of label columns, got {columns!r}")
    return {name: tuple(dict.fromkeys(columns)) for name, columns in given.items()}


def label_columns(tasks: Tasks) -> list[str]:
    """Return the columns of all tasks, each once."""
    return list(dict.fromkeys(column for columns in tasks.values() for column in columns))


def task_labels(table: pd.DataFrame, tasks: Tasks, rows: np.ndarray) -> Tensor:
    """Return the labels of some rows, float32 [n, tasks]."""
    labels = np.empty((len(rows), len(tasks)), dtype=np.float32)
    for place, columns in enumerate(tasks.values()):
        labels[:, place] = _all_ones(table, columns)[rows]
    return torch.from_numpy(labels)


def warn_of_broken_funnels(table: pd.DataFrame, tasks: Tasks, *, funnel: bool, source: object) -> None:
    """Warn of rows that have what a task asks for beyond the task before it, but not that task itself.

    Args:
        table: Has the label columns.
        tasks: The tasks, in the order of the funnel.
        funnel: Whether every task presupposes the one before also where its columns do not say so.
        source: What to call the data set in messages.
    """
    for earlier, later, broken in _broken(table, tasks, funnel):
        included = set(tasks[earlier]) <= set(tasks[later])
        outcome = (
            f"they count as no {later}, which is defined as {' and '.join(tasks[later])}"
            if included
            else "they are kept as they are, but models of the funnel such as ESMM assume that there are none"
        )
        if broken:
            beyond = " and ".join(_beyond(tasks, earlier, later))
            rank_zero_warn(f"{broken} of the {len(table)} rows of {source} have {beyond} without {earlier}: {outcome}")


def warn_of_assumed_funnel(labels: Mapping[str, Tensor], tasks: Sequence[str], model: str, source: object) -> None:
    """Warn of rows that a model of a funnel cannot predict: a task's label is 1 and that of the task before is 0.

    Args:
        labels: Labels of each split, [n, tasks].
        tasks: The tasks, in the order of the funnel.
        model: What to call the model in messages.
        source: What to call the data set in messages.
    """
    total = sum(len(label) for label in labels.values())
    for place, (earlier, later) in enumerate(pairwise(tasks)):
        broken = sum(int((label[:, place + 1] > label[:, place]).sum()) for label in labels.values())
        if broken:
            rank_zero_warn(
                f"{broken} of the {total} rows of {source} have {later} without {earlier}, and {model} assumes that "
                f"there are none: it cannot tell a {later} to be likelier than a {earlier}. Correct the labels, define "
                f"the task {later} by the columns of both, or take a model that does not assume it, such as MMoE"
            )


def warn_of_single_labels(labels: Mapping[str, Tensor], tasks: Sequence[str], source: object) -> None:
    """Warn of splits in which a task's labels, ``labels[split]`` of shape [n, tasks], are all the same."""
    for split, label in labels.items():
        for task, column in zip(tasks, label.unbind(1), strict=True):
            if (column == column[0]).all():
                learning = "nothing can be learned for it. Leave the task out, or look why it is so"
                consequence = learning if split == "train" else "its AUC is undefined there and reported as nan"
                rank_zero_warn(f"all {split} rows of {source} have label {column[0]:.0f} for '{task}': {consequence}")


def _broken(table: pd.DataFrame, tasks: Tasks, funnel: bool) -> Iterator[tuple[str, str, int]]:
    for earlier, later in pairwise(tasks):
        beyond = _beyond(tasks, earlier, later)
        if beyond and (funnel or set(tasks[earlier]) <= set(tasks[later])):
            broken = _all_ones(table, beyond) & ~_all_ones(table, tasks[earlier])
            yield earlier, later, int(broken.sum())


def _beyond(tasks: Tasks, earlier: str, later: str) -> list[str]:
    return [column for column in tasks[later] if column not in tasks[earlier]]


def _all_ones(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    ones: np.ndarray = np.logical_and.reduce([table[column].to_numpy() == 1 for column in columns])
    return ones
