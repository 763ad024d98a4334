"""Exactly those parameters are not trained whose gradient would be rounding."""

from typing import Any

import pytest
import torch

from lightning_modules.multitask import MultiTaskModel
from tests.multitask.multitask_helpers import MODELS, build, planted

VARIED: list[dict[str, Any]] = [
    {},
    {"num_tasks": 1},
    {"num_tasks": 3},
    {"num_numerical": 0},
    {"batch_norm": False},
    {"tower_dims": ()},
    {"batch_norm": False, "tower_dims": ()},
]


@pytest.mark.parametrize("varied", VARIED, ids=str)
@pytest.mark.parametrize("model_class", MODELS)
def test_what_has_no_gradient_is_not_trained(model_class: type[MultiTaskModel], varied: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build(model_class, **varied, dropout=0.0).double().train()
    rows = planted(256, **{name: value for name, value in varied.items() if name.startswith("num_")})
    rows = rows._replace(numerical=rows.numerical.double(), label=rows.label.double())
    untrained = {name for name, each in model.named_parameters() if not each.requires_grad}
    model.requires_grad_(True)
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(model.mean_task_losses(rows).sum(), parameters, materialize_grads=True)
    rounding = {name for name, gradient in zip(names, gradients, strict=True) if 0 < gradient.abs().max() < 1e-13}
    assert rounding <= untrained
    assert all(
        gradient.abs().max() < 1e-13 for name, gradient in zip(names, gradients, strict=True) if name in untrained
    )
    assert bool(untrained) == varied.get("batch_norm", True)
