from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from lightning_modules.training.batch_labels import label_of


class LabelFirst(NamedTuple):
    label: Tensor
    feature: Tensor
    weight: Tensor


LABEL = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    "batch",
    [
        LabelFirst(LABEL, torch.zeros(3), torch.zeros(3)),
        {"weight": torch.zeros(3), "label": LABEL},
        [torch.zeros(3, 2), LABEL[:, None]],
        ((torch.zeros(3), torch.zeros(3)), LABEL.bool()),
    ],
    ids=["attribute", "entry", "pair", "pair of a pair"],
)
def test_labels_of_a_batch(batch: Any) -> None:
    assert label_of(batch).tolist() == [0.0, 1.0, 1.0]
    assert label_of(batch).dtype == torch.float32


def test_labels_of_several_tasks_keep_their_columns() -> None:
    label = torch.eye(3)
    assert torch.equal(label_of(LabelFirst(label, torch.zeros(3), torch.zeros(3))), label)


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        (torch.zeros(3), "Tensor"),
        ({"x": torch.zeros(3)}, "dict"),
        (("a", "b"), "tuple of 2"),
        ([torch.zeros(3)], "list of 1"),
        ([torch.zeros(3), LABEL, torch.rand(3)], "list of 3"),
    ],
)
def test_a_batch_whose_labels_are_not_known_is_refused(batch: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"the labels of a batch are not known, which is a {kind}: let the data"):
        label_of(batch)
