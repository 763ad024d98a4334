"""Arithmetic of scores against torch's own."""

import pytest
import torch

from lightning_modules.losses.score_arithmetic import scaled_difference, scaled_logsumexp

GENERATOR = torch.Generator().manual_seed(0)
SCORES = 2 * torch.rand(6, 9, generator=GENERATOR, dtype=torch.double) - 1


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 3.0])
def test_logsumexp_of_scaled_scores(temperature: float) -> None:
    scores = SCORES.clone().requires_grad_()
    value, expected = scaled_logsumexp(scores, temperature), torch.logsumexp(scores / temperature, dim=1)
    torch.testing.assert_close(value, expected)
    weight = torch.arange(6.0, dtype=torch.double)
    slopes = [torch.autograd.grad((weight * each).sum(), scores)[0] for each in (value, expected)]
    torch.testing.assert_close(*slopes)


def test_logsumexp_does_not_overflow_or_lose_its_gradient() -> None:
    scores = torch.tensor([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]], requires_grad=True)
    value = scaled_logsumexp(scores, 0.01)
    torch.testing.assert_close(value, torch.logsumexp(scores / 0.01, dim=1))
    (slope,) = torch.autograd.grad(value.sum(), scores)
    torch.testing.assert_close(slope, torch.softmax(scores / 0.01, dim=1) / 0.01)


def test_logsumexp_is_mapped_and_its_scores_stay() -> None:
    stack, kept = SCORES.view(2, 3, 9).clone(), SCORES.clone()
    mapped = torch.func.vmap(lambda each: scaled_logsumexp(each, 0.2))(stack)
    torch.testing.assert_close(mapped.flatten(), scaled_logsumexp(SCORES, 0.2))
    slope = torch.func.vmap(torch.func.grad(lambda each: scaled_logsumexp(each, 0.2).sum()))(stack)
    torch.testing.assert_close(slope.view(6, 9), torch.softmax(SCORES / 0.2, dim=1) / 0.2)
    assert torch.equal(SCORES, kept)


def test_difference_of_scores() -> None:
    positive = SCORES[:, 0]
    torch.testing.assert_close(scaled_difference(positive, SCORES, 2.5), 2.5 * (SCORES - positive[:, None]))
