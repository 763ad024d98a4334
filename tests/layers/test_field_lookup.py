"""Layers over fields that compute each different category once."""

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.layers import FieldEmbedding
from lightning_modules.layers.field_lookup import field_linear, look_up
from lightning_modules.layers.table_gradient import ReusedGradient

FIELD_SIZES = (3, 200, 1)
OFFSETS = torch.tensor([0, 3, 203])


def categories(count: int = 40, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(0, size, (count,), generator=generator) for size in FIELD_SIZES], dim=1)


def test_every_category_is_found_where_it_is() -> None:
    categorical = categories()
    found = look_up(categorical, OFFSETS)
    distinct = found.distinct
    assert distinct is not None
    assert torch.equal(found.table_row, categorical + OFFSETS)
    assert distinct.rows.tolist() == sorted(set(found.table_row.flatten().tolist()))
    assert torch.equal(distinct.rows[distinct.place], found.table_row)
    assert distinct.counts == [len(column.unique()) for column in categorical.unbind(1)]
    readers = distinct.readers.tensor_split(distinct.starts[1:])
    for row, reading in zip(distinct.rows, readers, strict=True):
        assert torch.equal(reading, (found.table_row == row).any(dim=1).nonzero().squeeze(1))


@pytest.mark.parametrize("num_numerical", [0, 2])
@pytest.mark.parametrize("field_sizes", [[3, 200, 1], [300, 200]])
def test_evaluation_is_the_plain_form(field_sizes: list[int], num_numerical: int) -> None:
    torch.manual_seed(0)
    embedding = FieldEmbedding(field_sizes, num_numerical, 4).double()
    layer = nn.Linear(embedding.out_features, 7).double()
    categorical = torch.stack([torch.randint(0, size, (64,)) for size in field_sizes], dim=1)
    numerical = torch.randn(64, num_numerical).double()
    learned = embedding(categorical, numerical)
    with torch.no_grad():
        vectors = embedding(categorical, numerical)
        outputs = embedding.project(vectors, categorical, layer.weight, layer.bias)
    assert torch.equal(vectors, learned)
    torch.testing.assert_close(outputs, layer(learned.flatten(1)))


def test_a_reused_gradient_is_a_new_one_in_the_same_memory() -> None:
    torch.manual_seed(0)
    table, weight = nn.Parameter(torch.randn(204, 4)), torch.randn(5, 12)
    reused, places = ReusedGradient(), set()
    for seed in range(3):
        found = look_up(categories(seed=seed), OFFSETS)
        (expected,) = torch.autograd.grad(field_linear(table, weight, found).square().sum(), table)
        field_linear(table, weight, found, reused).square().sum().backward()
        assert table.grad is not None
        assert torch.equal(table.grad, expected)
        places.add(table.grad.data_ptr())
        # As clipping does.
        table.grad.mul_(0.5)
        table.grad = None
    assert len(places) == 1
