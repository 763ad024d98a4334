"""Scores of shared negatives, and what losses make of them, against each row's own scores."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import ListwiseLoss, SampledSoftmax, SharedBatch, shared_scores
from lightning_modules.losses.shared_scores import shared_logsumexp
from tests.losses.listwise_cases import LISTWISE, NUM_ITEMS, NUM_USERS, ListwiseCase, prepared

ROWS, NEGATIVES, DIM = 7, 5, 3


def drawn(rows: int = ROWS, dtype: torch.dtype = torch.double) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors of users and negatives, and what is replaced: several places by one, in any order in a row."""
    generator = torch.Generator().manual_seed(0)
    users, negatives = (
        torch.randn(count, DIM, generator=generator, dtype=dtype, requires_grad=True) for count in (rows, NEGATIVES)
    )
    return users, negatives, torch.tensor([[0, 0, 2, rows - 1], [3, 1, 4, 0], [2, 2, 0, 4]])


def own_scores(users: Tensor, negatives: Tensor, replaced: Tensor) -> Tensor:
    """Return the scores of the negatives that each row uses."""
    place = torch.arange(len(negatives)).repeat(len(users), 1)
    place[replaced[0], replaced[1]] = replaced[2]
    return torch.einsum("nd,nkd->nk", users, negatives[place])


@pytest.fixture(params=[True, False], ids=["compiled", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scores, "compiles_for", lambda _: request.param)


def assert_same(found: Callable[..., Tensor], expected: Callable[..., Tensor], *vectors: Tensor) -> None:
    values = found(*vectors), expected(*vectors)
    torch.testing.assert_close(*values)
    weight = torch.randn(values[0].shape, generator=torch.Generator().manual_seed(1), dtype=values[0].dtype)
    slopes = [torch.autograd.grad((weight * value).sum(), vectors) for value in values]
    for each, other in zip(*slopes, strict=True):
        torch.testing.assert_close(each, other)


@pytest.mark.usefixtures("kernels")
def test_scores_are_those_of_the_negatives_that_each_row_uses() -> None:
    *vectors, replaced = drawn()
    assert_same(
        lambda *each: shared_scores.shared_scores(*each, replaced), lambda *each: own_scores(*each, replaced), *vectors
    )


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("at_once", [1, 2 * NEGATIVES, 2**20])
@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_logsumexp_in_blocks(at_once: int, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scores, "_SCORES_AT_ONCE", at_once)
    *vectors, replaced = drawn()
    assert_same(
        lambda *each: shared_logsumexp(*each, replaced, temperature),
        lambda *each: torch.logsumexp(own_scores(*each, replaced) / temperature, dim=1),
        *vectors,
    )


def test_logsumexp_of_nothing_replaced_and_of_no_rows() -> None:
    users, negatives, replaced = drawn()
    value = shared_logsumexp(users, negatives, replaced[:, :0], 0.1)
    torch.testing.assert_close(value, torch.logsumexp(users @ negatives.T / 0.1, dim=1))
    assert shared_logsumexp(users[:0], negatives, replaced[:, :0], 0.1).shape == (0,)


def test_a_gradient_that_others_hold_stays() -> None:
    *vectors, replaced = drawn()
    gradient = torch.ones(ROWS, NEGATIVES, dtype=torch.double)
    torch.autograd.backward(shared_scores.shared_scores(*vectors, replaced), gradient)
    assert bool((gradient == 1).all())


def shared(dtype: torch.dtype = torch.double, log_q: bool = False) -> SharedBatch:
    users, negatives, replaced = drawn(dtype=dtype)
    items = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(2), dtype=dtype, requires_grad=True)
    correction = torch.linspace(-3, -1, NEGATIVES, dtype=dtype) if log_q else torch.empty(0, dtype=dtype)
    return SharedBatch(
        torch.arange(ROWS) % NUM_USERS,
        torch.arange(ROWS) % NUM_ITEMS,
        (users * items).sum(dim=1),
        negatives,
        replaced,
        correction,
        users,
        items,
    )


@pytest.mark.parametrize("case", LISTWISE, ids=lambda case: case.loss.title)
@pytest.mark.parametrize("log_q", [False, True])
def test_losses_of_shared_negatives_are_those_of_their_scores(case: ListwiseCase, log_q: bool) -> None:
    batch = shared(log_q=log_q)
    values = [
        prepared(case.loss).of_shared(batch),
        prepared(case.loss).of_batch(batch.scored()),
    ]
    torch.testing.assert_close(*values)
    leaves = batch.user_vector, batch.item_vector, batch.negative_vector
    slopes = [torch.autograd.grad(each.square().sum(), leaves, allow_unused=True, retain_graph=True) for each in values]
    for each, other in zip(*slopes, strict=True):
        assert (each is None) == (other is None)
        if each is not None:
            torch.testing.assert_close(each, other)


class Doubled(SampledSoftmax):
    """A user's own variant, which knows nothing of shared negatives."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        return 2 * super().forward(positive, negative)


def test_what_a_derived_loss_computes_holds_for_shared_negatives_too() -> None:
    batch = shared()
    loss: ListwiseLoss = Doubled()
    torch.testing.assert_close(loss.of_shared(batch), 2 * SampledSoftmax().of_shared(batch))


def test_shared_negatives_are_needed() -> None:
    batch = shared()
    none = batch._replace(negative_vector=batch.negative_vector[:0], replaced=batch.replaced[:, :0])
    with pytest.raises(ValueError, match="there are none"):
        SampledSoftmax().of_shared(none)
