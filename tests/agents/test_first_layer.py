"""A critic's shortcuts against the plain form."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.agents import Critic, Critics
from lightning_modules.agents.critic import first_layer
from lightning_modules.layers import FieldEmbedding
from lightning_modules.layers.field_lookup import look_up


def plain(embedding: FieldEmbedding, action: nn.Linear, layer: nn.Linear, *inputs: Tensor) -> Tensor:
    categorical, numerical, taken = inputs
    vectors = embedding(categorical, numerical).flatten(1)
    return layer(torch.cat([vectors, action(taken[:, None])], dim=1))


def parts(field_sizes: list[int], num_numerical: int, dtype: Any = torch.float64) -> Any:
    torch.manual_seed(0)
    embedding, action = FieldEmbedding(field_sizes, num_numerical, 3), nn.Linear(1, 3)
    layer = nn.Linear(embedding.out_features + 3, 5)
    return [module.to(dtype) for module in (embedding, action, layer)]


def inputs(field_sizes: list[int], num_numerical: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    columns = [torch.randint(0, size, (count,)) for size in field_sizes]
    categorical = torch.stack(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.int64)
    numerical = torch.randn(count, num_numerical, dtype=torch.float64)
    return categorical, numerical, torch.rand(count, dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(("field_sizes", "num_numerical"), [([7, 200, 1], 2), ([7, 200], 0), ([], 2)])
def test_outputs_and_gradients_are_those_of_the_plain_form(
    field_sizes: list[int], num_numerical: int, count: int
) -> None:
    modules = parts(field_sizes, num_numerical)
    categorical, numerical, action = inputs(field_sizes, num_numerical, count)
    action.requires_grad_()
    lookup = look_up(categorical, modules[0].offsets)
    leaves = [action, *(parameter for module in modules for parameter in module.parameters())]
    weights = torch.randn(count, 5, dtype=torch.float64)
    outputs = [first_layer(*modules, lookup, numerical, action), plain(*modules, categorical, numerical, action)]
    gradients = [torch.autograd.grad((output * weights).sum(), leaves) for output in outputs]
    torch.testing.assert_close(*outputs)
    for fast, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, expected)


def test_no_rows_are_no_trouble() -> None:
    modules = parts([7, 20], 1)
    categorical, numerical, action = inputs([7, 20], 1, 0)
    assert first_layer(*modules, look_up(categorical, modules[0].offsets), numerical, action).shape == (0, 5)


def test_it_is_not_differentiated_twice_in_silence() -> None:
    modules = parts([7, 20], 1)
    categorical, numerical, action = inputs([7, 20], 1, 10)
    output = first_layer(*modules, look_up(categorical, modules[0].offsets), numerical, action)
    (gradient,) = torch.autograd.grad(output.square().sum(), modules[0].table.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_critics_are_their_critics_side_by_side() -> None:
    critics = Critics((7, 20), 2, ("click", "pay"), embed_dim=4, bottom_mlp_dims=(8,), tower_mlp_dims=(4,)).eval()
    categorical, numerical, _ = inputs([7, 20], 2, 30)
    action = torch.rand(30, 2)
    value = critics(categorical, numerical.float(), action)
    for task, critic in enumerate(critics.of_tasks):
        torch.testing.assert_close(value[:, task], critic(categorical, numerical.float(), action[:, task]))
    assert (value <= 0).all()


def test_names_of_parameters_are_those_of_the_plain_layers() -> None:
    names = set(Critic([5], 1, embedding_dim=2, bottom_dims=(4,), tower_dims=(3,)).state_dict())
    layers = ("embedding.table", "embedding.numerical", "action", "bottom.0", "tower.0", "tower.3")
    kinds = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert names == kinds - {"embedding.table.bias"}


@pytest.mark.parametrize("told_apart", [True, False])
def test_critics_compute_in_mixed_precision(told_apart: bool) -> None:
    torch.manual_seed(0)
    critics = Critics((7, 20), 2, ("click", "pay"), embed_dim=4, bottom_mlp_dims=(8,), tower_mlp_dims=(4,)).eval()
    categorical, numerical, _ = inputs([7, 20], 2, 30)
    row = numerical.float(), torch.rand(30, 2)
    lookup = critics.look_up(categorical)
    found = lookup if told_apart else lookup._replace(distinct=None)
    expected = critics.values(lookup, *row)
    torch.testing.assert_close(critics.values(found, *row), expected)
    with torch.autocast("cpu", torch.bfloat16):
        value = critics.values(found, *row)
    torch.testing.assert_close(value.float(), expected, rtol=0.02, atol=0.02)
    value.float().sum().backward()
    assert all(parameter.grad is not None for parameter in critics.parameters())
