"""Recommenders that are solved: against their formulas in numpy."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from datamodules.implicit.user_items import UserItems
from lightning_modules.recommenders import EASE, IALS, MostPopular

USERS, ITEMS = 30, 12


@pytest.fixture
def items() -> UserItems:
    taken = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.3
    taken[4] = False
    return UserItems(*taken.nonzero().T, USERS, ITEMS)


def matrix(items: UserItems) -> np.ndarray:
    taken = np.zeros((USERS, ITEMS))
    taken[items.user, items.item] = 1
    return taken


def scores(model, items: UserItems, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    monkeypatch.setattr(model, "training_items", lambda: items)
    model._solved()
    return model.scorer()(torch.arange(USERS))


def test_most_popular_counts_users(items: UserItems, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scores(MostPopular(USERS, ITEMS), items, monkeypatch)
    np.testing.assert_array_equal(found, np.tile(matrix(items).sum(axis=0), (USERS, 1)))
    found.fill_(0)
    assert MostPopular(USERS, ITEMS).scorer()(torch.tensor([1])).shape == (1, ITEMS)


def test_ease_is_ridge_regression_on_the_other_items(items: UserItems, monkeypatch: pytest.MonkeyPatch) -> None:
    model = EASE(USERS, ITEMS, l2=3.0)
    found = scores(model, items, monkeypatch)
    taken = matrix(items)
    expected = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = [each for each in range(ITEMS) if each != item]
        left = taken[:, others].T @ taken[:, others] + 3.0 * np.eye(ITEMS - 1)
        expected[others, item] = np.linalg.solve(left, taken[:, others].T @ taken[:, item])
    np.testing.assert_allclose(model.weight, expected, atol=1e-5)
    np.testing.assert_allclose(found, taken @ expected, atol=1e-5)


def objective(model: IALS, users: torch.Tensor, vectors: torch.Tensor, items: UserItems) -> torch.Tensor:
    taken = torch.from_numpy(matrix(items)).to(users.dtype)
    score = users @ vectors.T
    value = (taken * (score - 1) ** 2).sum() + model.unobserved_weight * (score**2).sum()
    for own, count, partners in ((users, taken.sum(1), ITEMS), (vectors, taken.sum(0), USERS)):
        strength = model.l2 * (count + model.unobserved_weight * partners) ** model.frequency_exponent
        value = value + (strength * (own**2).sum(dim=1)).sum()
    return value


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_ials_finds_the_best_vectors_of_a_side(items: UserItems, exponent: float) -> None:
    torch.manual_seed(0)
    model = IALS(USERS, ITEMS, embedding_dim=4, l2=0.05, frequency_exponent=exponent, init_std=1.0).double()
    value = model.solve(items) * len(items.user)
    users, vectors = (each.weight.detach().clone() for each in (model.user_embedding, model.item_embedding))
    vectors.requires_grad_()
    expected = objective(model, users, vectors, items)
    torch.testing.assert_close(value, expected.detach())
    (gradient,) = torch.autograd.grad(expected, vectors)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-9, rtol=0)


def test_ials_only_gets_better(items: UserItems) -> None:
    torch.manual_seed(0)
    model = IALS(USERS, ITEMS, embedding_dim=3)
    values = [float(model.solve(items)) for _ in range(6)]
    assert all(after <= before for before, after in pairwise(values))
    assert values[-1] < 0.9 * values[0]


def test_blocks_make_no_difference(items: UserItems, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for block in (2**23, 1, 100):
        monkeypatch.setattr("lightning_modules.recommenders.ials._BLOCK", block)
        torch.manual_seed(0)
        model = IALS(USERS, ITEMS, embedding_dim=3)
        model.solve(items)
        found.append(model.user_embedding.weight.clone())
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


@pytest.mark.parametrize(("kind", "options"), [(EASE, {"l2": 0}), (IALS, {"l2": 0}), (IALS, {"unobserved_weight": 0})])
def test_settings_that_leave_nothing_to_invert_are_refused(kind, options: dict) -> None:
    with pytest.raises(ValueError, match="positive"):
        kind(USERS, ITEMS, **options)
