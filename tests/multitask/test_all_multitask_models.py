"""One tester for the mathematics of all multi-task models."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from datamodules.batches import ImpressionBatch
from lightning_modules.multitask import (
    AITM,
    ESMM,
    PLE,
    MetaHeac,
    MMoE,
    MultiTaskModel,
    OMoE,
    SharedBottom,
    SingleTask,
)
from tests.multitask.multitask_helpers import MODELS, build, planted

every_model = pytest.mark.parametrize("model_class", MODELS)

#: BatchNorm takes the biases before it out of every gradient, and in a narrow layer every unit may be dead.
PLAIN: dict[str, Any] = {"bottom_dims": (32, 16), "tower_dims": (16,), "batch_norm": False, "dropout": 0.0}


def inputs_of(batch: ImpressionBatch) -> tuple[Tensor, Tensor]:
    return batch.categorical, batch.numerical


def test_there_are_models_to_test() -> None:
    assert set(MODELS) == {AITM, ESMM, PLE, MetaHeac, MMoE, OMoE, SharedBottom, SingleTask}


@every_model
@pytest.mark.parametrize("num_tasks", [1, 2, 3])
@pytest.mark.parametrize("num_numerical", [0, 2])
def test_every_parameter_learns_for_any_number_of_tasks(
    model_class: type[MultiTaskModel], num_tasks: int, num_numerical: int
) -> None:
    torch.manual_seed(0)
    batch = planted(num_tasks=num_tasks, num_numerical=num_numerical)
    model = build(model_class, num_tasks=num_tasks, num_numerical=num_numerical, **PLAIN)
    assert model(*inputs_of(batch)).shape == (64, num_tasks)
    model.mean_task_losses(batch).mean().backward()
    without = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert without == []


@every_model
def test_no_rows_have_no_logits(model_class: type[MultiTaskModel]) -> None:
    rows = ImpressionBatch(*(column[:0] for column in planted()))
    assert build(model_class).eval()(*inputs_of(rows)).shape == (0, 2)


@every_model
def test_probabilities_are_probabilities_whatever_the_features(model_class: type[MultiTaskModel]) -> None:
    model, batch = build(model_class, num_tasks=3).eval(), planted(num_tasks=3)
    for scale in (0.0, 1.0, 1e4, -1e4):
        logit = model(batch.categorical, scale * batch.numerical)
        probability = model.predict_step(batch._replace(numerical=scale * batch.numerical))
        assert logit.isfinite().all()
        assert ((probability >= 0) & (probability <= 1)).all()


@every_model
@pytest.mark.parametrize("learns", [True, False])
def test_rows_do_not_see_one_another_in_evaluation(model_class: type[MultiTaskModel], learns: bool) -> None:
    model, batch = build(model_class, num_tasks=3).eval(), planted(num_tasks=3)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    with torch.set_grad_enabled(learns):
        together = model(*inputs_of(batch))
        shuffled = model(*(column[order] for column in inputs_of(batch)))
        alone = [model(*(column[row : row + 1] for column in inputs_of(batch))) for row in range(8)]
    torch.testing.assert_close(shuffled, together[order])
    torch.testing.assert_close(torch.cat(alone), together[:8])


@every_model
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_small_training_batches_give_finite_gradients(model_class: type[MultiTaskModel], rows: int) -> None:
    model = build(model_class).train()
    model.mean_task_losses(planted(rows)).mean().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained)


@every_model
def test_a_tiny_batch_is_learned_by_heart_task_by_task(model_class: type[MultiTaskModel]) -> None:
    torch.manual_seed(0)
    batch = planted(16, num_tasks=3, seed=4)
    model = build(model_class, num_tasks=3, **PLAIN)
    # MetaHeac minimises the loss of a batch's second half.
    twice = ImpressionBatch(*(torch.cat([column, column]) for column in batch))
    before = model.task_losses(batch).mean()
    optimizer = Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        model.mean_task_losses(twice).mean().backward()
        optimizer.step()
    assert batch.label.unique(dim=1).shape == (16, 3)
    assert torch.equal(model.predict_step(batch) > 0.5, batch.label > 0.5)
    assert model.task_losses(batch).mean() < 0.1 * before


@pytest.mark.parametrize("model_class", [model for model in MODELS if model is not MetaHeac])
def test_towers_stand_in_the_order_of_the_tasks(model_class: type[MultiTaskModel]) -> None:
    """Every task has its own tower; only in ESMM the towers of the steps before have a part in it."""
    model, batch = build(model_class, num_tasks=3).eval(), planted(num_tasks=3)
    logit = model(*inputs_of(batch))
    for task in range(3):
        (gradient,) = torch.autograd.grad(logit[:, task].sum(), [model.towers.layers[-1].bias], retain_graph=True)
        expected = [tower <= task if model_class is ESMM else tower == task for tower in range(3)]
        assert (gradient.flatten() != 0).tolist() == expected


@every_model
def test_a_model_without_a_bottom_layer_is_refused(model_class: type[MultiTaskModel]) -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        build(model_class, bottom_dims=())


@pytest.mark.parametrize("model_class", [MMoE, MetaHeac])
def test_a_traced_model_takes_any_number_of_rows(model_class: type[MultiTaskModel]) -> None:
    model, traced, other = build(model_class).eval(), planted(64), planted(200)
    rows = torch.export.Dim("rows", min=2)
    shapes = ({0: rows}, {0: rows})
    program = torch.export.export(model, (traced.categorical, traced.numerical), dynamic_shapes=shapes)
    inputs = other.categorical, other.numerical
    torch.testing.assert_close(program.module()(*inputs), model(*inputs))
