import math

import pytest
import torch
from torch import nn

from lightning_modules.layers import FieldEmbedding


def test_every_field_has_its_own_rows_and_numbers_come_last() -> None:
    embedding = FieldEmbedding([3, 5], 2, 4)
    categorical, numerical = torch.tensor([[2, 0], [0, 4]]), torch.randn(2, 2)
    table, linear = embedding.table.weight, embedding.numerical
    expected = torch.stack(
        [
            torch.stack([table[2], table[3 + 0], linear.weight @ numerical[0] + linear.bias]),
            torch.stack([table[0], table[3 + 4], linear.weight @ numerical[1] + linear.bias]),
        ]
    )
    torch.testing.assert_close(embedding(categorical, numerical), expected)
    assert (embedding.num_fields, embedding.out_features) == (3, 12)


def test_without_numerical_features_there_is_no_vector_for_them() -> None:
    embedding = FieldEmbedding([3, 5], 0, 4)
    assert embedding(torch.zeros(7, 2, dtype=torch.int64), torch.empty(7, 0)).shape == (7, 2, 4)
    assert sum(parameter.numel() for parameter in embedding.parameters()) == 8 * 4


def test_without_fields_there_are_only_the_numerical_features() -> None:
    embedding = FieldEmbedding([], 2, 4)
    assert embedding(torch.empty(7, 0, dtype=torch.int64), torch.randn(7, 2)).shape == (7, 1, 4)


def test_the_table_starts_from_xaviers_uniform_distribution() -> None:
    torch.manual_seed(0)
    weight = FieldEmbedding([300, 700], 0, 16).table.weight.detach()
    bound = math.sqrt(6 / (1000 + 16))
    assert weight.abs().max() <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_offsets_are_not_in_the_state() -> None:
    assert set(FieldEmbedding([3], 1, 4).state_dict()) == {"table.weight", "numerical.weight", "numerical.bias"}


@pytest.mark.parametrize("field_sizes", [[3, 50, 5], [3, 5], [50, 60]])
@pytest.mark.parametrize("num_numerical", [0, 2])
def test_projected_tables_are_the_linear_layer(field_sizes: list[int], num_numerical: int) -> None:
    generator = torch.Generator().manual_seed(0)
    embedding = FieldEmbedding(field_sizes, num_numerical, 4).double()
    layer = nn.Linear(embedding.out_features, 7).double()
    categorical = torch.stack([torch.randint(0, size, (64,), generator=generator) for size in field_sizes], dim=1)
    vectors = embedding(categorical, torch.randn(64, num_numerical, generator=generator).double())
    projected = embedding.project(vectors, categorical, layer.weight, layer.bias)
    expected = layer(vectors.flatten(1))
    torch.testing.assert_close(projected, expected)
    parameters = [*embedding.parameters(), *layer.parameters()]
    gradients = torch.autograd.grad(projected.square().sum(), parameters, retain_graph=True)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected.square().sum(), parameters))


def test_only_small_fields_are_projected() -> None:
    embedding, weight, bias = FieldEmbedding([3, 50], 0, 4), torch.randn(7, 8), torch.randn(7)
    categorical = torch.randint(0, 3, (64, 2))
    vectors = embedding(categorical, torch.empty(64, 0)).detach()
    expected = embedding.project(vectors, categorical, weight, bias)
    without_small, without_large = vectors.clone(), vectors.clone()
    without_small[:, 0], without_large[:, 1] = 0, 0
    torch.testing.assert_close(embedding.project(without_small, categorical, weight, bias), expected)
    assert not torch.allclose(embedding.project(without_large, categorical, weight, bias), expected)


@pytest.mark.parametrize("arguments", [([3, 0], 1, 4), ([3], -1, 4), ([3], 1, 0), ([], 0, 4)])
def test_impossible_sizes_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"field_sizes=|at least one"):
        FieldEmbedding(*arguments)
