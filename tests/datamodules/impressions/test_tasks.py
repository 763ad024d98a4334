import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from datamodules.impressions.tasks import (
    label_columns,
    task_columns,
    task_labels,
    warn_of_assumed_funnel,
    warn_of_broken_funnels,
    warn_of_single_labels,
)

TABLE = pd.DataFrame({"click": [1.0, 1.0, 0.0, 0.0], "long": [1.0, 0.0, 1.0, 0.0]})


def test_task_may_be_a_product_of_columns() -> None:
    tasks = task_columns({"click": ["click"], "view": ["click", "long"]})
    assert label_columns(tasks) == ["click", "long"]
    assert task_labels(TABLE, tasks, np.array([2, 1, 0])).tolist() == [[0, 0], [1, 0], [1, 1]]
    assert task_columns(["click"]) == {"click": ("click",)}


@pytest.mark.parametrize("tasks", [[], {}, ["click", "click"], {"click": []}, {"click": "click"}])
def test_unusable_tasks_are_refused(tasks: object) -> None:
    with pytest.raises(ValueError, match="task"):
        task_columns(tasks)  # type: ignore[arg-type]


def test_rows_that_break_the_funnel_are_counted() -> None:
    with pytest.warns(UserWarning, match="1 of the 4 rows of t have long without click: they count as no view"):
        warn_of_broken_funnels(TABLE, {"click": ("click",), "view": ("click", "long")}, funnel=False, source="t")
    with pytest.warns(UserWarning, match="1 of the 4 rows of t have long without click: they are kept"):
        warn_of_broken_funnels(TABLE, {"click": ("click",), "long": ("long",)}, funnel=True, source="t")


def test_nothing_is_said_of_independent_tasks_or_whole_funnels() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_broken_funnels(TABLE, {"click": ("click",), "long": ("long",)}, funnel=False, source="t")
        warn_of_broken_funnels(TABLE.iloc[[0, 1, 3]], {"click": ("click",), "long": ("long",)}, funnel=True, source="t")


def test_rows_that_a_funnel_excludes_are_counted_over_all_splits() -> None:
    labels = {"train": torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), "test": torch.tensor([[0.0, 1.0, 0.0]])}
    with pytest.warns(UserWarning, match="2 of the 3 rows of t have b without a, and ESMM assumes") as caught:
        warn_of_assumed_funnel(labels, ["a", "b", "c"], "ESMM", "t")
    assert len(caught) == 1


def test_split_with_one_label_names_task_and_split() -> None:
    labels = {"train": torch.tensor([[0.0, 1.0], [1.0, 1.0]]), "test": torch.tensor([[0.0, 0.0], [0.0, 1.0]])}
    with pytest.warns(UserWarning, match="rows of t have label") as caught:
        warn_of_single_labels(labels, ["a", "b"], "t")
    first, second = (str(warning.message) for warning in caught)
    assert first.startswith("all train rows of t have label 1 for 'b': nothing can be learned for it")
    assert second.startswith("all test rows of t have label 0 for 'a': its AUC is undefined")
