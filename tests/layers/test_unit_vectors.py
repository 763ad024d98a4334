import torch
from torch.nn.functional import normalize

from lightning_modules.layers.unit_vectors import unit_vectors


def test_values_and_gradients_are_those_of_a_quotient() -> None:
    vectors = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(unit_vectors(vectors), normalize(vectors))
    assert torch.autograd.gradcheck(unit_vectors, (vectors,))


def test_vectors_without_a_length_stay_finite() -> None:
    vectors = torch.zeros(2, 3, requires_grad=True)
    units = unit_vectors(vectors)
    units.sum().backward()
    assert torch.equal(units, torch.zeros(2, 3))
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
