import pytest
import torch
from torch import nn

from lightning_modules.layers.small_fields import SmallFieldReader

SIZES = [3, 50, 5]


@pytest.mark.parametrize("small", [[0], [0, 2], [2, 1], [0, 1, 2]])
def test_layers_are_linear_on_all_vectors(small: list[int]) -> None:
    tables = [torch.randn(size, 4, dtype=torch.float64, requires_grad=True) for size in SIZES]
    # The last category of every field does not occur.
    categorical = torch.stack([torch.randint(0, size - 1, (30,)) for size in SIZES], dim=1)
    vectors = torch.stack([table[index] for table, index in zip(tables, categorical.T, strict=True)], dim=1)
    reader = SmallFieldReader(torch.cat([tables[field] for field in small]), vectors, categorical, small, SIZES)
    layers = [nn.Linear(12, width).double() for width in (6, 7)]
    outputs = torch.cat([reader(layer.weight, layer.bias) for layer in layers], dim=1)
    expected = torch.cat([layer(vectors.flatten(1)) for layer in layers], dim=1)
    torch.testing.assert_close(outputs, expected)
    parameters = [*tables, *(each for layer in layers for each in layer.parameters())]
    for total in (torch.sum, torch.linalg.vector_norm):
        gradients = [torch.autograd.grad(total(each), parameters, retain_graph=True) for each in (outputs, expected)]
        torch.testing.assert_close(*gradients)
