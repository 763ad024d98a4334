"""Scores of negatives of every row, by each of the ways that they are computed."""

from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import own_scores as module
from lightning_modules.losses.own_scores import own_scores, scores_of_vectors

ROWS, DIM = 5, 3
#: Where a product, a kernel and fetched vectors are chosen, as items for a negative.
WAYS = {"product": (1e9, 1e9), "kernel": (0.0, 0.0), "fetched": (1e9, 0.0)}


def drawn(num_items: int, negatives: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    users, catalogue = (torch.randn(size, DIM, generator=generator, dtype=dtype) for size in (ROWS, num_items))
    negative = torch.randint(num_items, (ROWS, negatives), generator=generator)
    return users.requires_grad_(), catalogue.requires_grad_(), negative


@pytest.fixture(params=[*WAYS])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in zip(("_ITEMS_FOR_COMPILED", "_ITEMS_FOR_FETCHED"), WAYS[request.param], strict=True):
        monkeypatch.setattr(module, name, value)
    return str(request.param)


@pytest.mark.parametrize(("num_items", "negatives"), [(4, 9), (50, 2), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_score_is_the_product_of_two_vectors(way: str, num_items: int, negatives: int, dtype: torch.dtype) -> None:
    users, catalogue, negative = drawn(num_items, negatives, dtype)
    scores = own_scores(users, catalogue, negative)
    assert ("OwnScores" in type(scores.grad_fn).__name__) == (way == "kernel")
    expected = [[float(users[row] @ catalogue[item]) for item in own] for row, own in enumerate(negative.tolist())]
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=dtype))


@pytest.mark.usefixtures("way")
def test_gradients_are_those_of_differences() -> None:
    users, catalogue, negative = drawn(6, 8, torch.float64)
    assert torch.autograd.gradcheck(partial(own_scores, negative=negative), (users, catalogue))


@pytest.mark.usefixtures("way")
def test_a_gradient_that_is_no_block_of_memory_is_taken() -> None:
    users, catalogue, negative = drawn(6, 8, torch.float64)
    own_scores(users.T.contiguous().T, catalogue, negative).sum().backward()
    torch.testing.assert_close(users.grad, catalogue.detach()[negative].sum(dim=1))


def test_vectors_of_two_precisions_are_no_matter_for_the_kernel() -> None:
    users, catalogue, negative = drawn(50, 2, torch.float32)
    half = catalogue.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        scores = own_scores(users, half, negative)
    torch.testing.assert_close(scores.float(), own_scores(users, catalogue, negative), atol=0.05, rtol=0.05)


def test_scores_of_vectors_are_those_of_their_items() -> None:
    users, catalogue, negative = drawn(6, 8, torch.float64)
    torch.testing.assert_close(scores_of_vectors(users, catalogue[negative]), own_scores(users, catalogue, negative))
