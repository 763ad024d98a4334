"""Compiled training against torch's dense optimizers in double precision."""

from collections.abc import Callable, Hashable
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.losses import BCE
from lightning_modules.populations.fused.fused_population import slope_cells
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, StepPlan
from lightning_modules.populations.fused.matching import matched_table
from lightning_modules.populations.fused.plan_kernels import plan_steps
from lightning_modules.populations.gradient_table import SlopeTable

USERS, ITEMS, WIDTH = 5, 7, 3
SLOPES = slope_cells(SlopeTable([BCE()], torch.device("cpu")))[0]

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]


def samples(count: int, seed: int) -> Samples:
    """Return rows of users and items, and labels; some rows are much more frequent than others."""
    draws = np.random.default_rng(seed)
    user = 1 + (USERS * draws.random(count) ** 3).astype(np.int32)
    item = 1 + USERS + (ITEMS * draws.random(count) ** 3).astype(np.int32)
    return user, item, draws.integers(0, 2, count).astype(np.int32)


def planned(columns: Samples, steps: list[int]) -> StepPlan:
    return plan_steps(*columns, np.asarray(steps, np.int64), 1 + USERS + ITEMS)


def initial_weights() -> np.ndarray:
    weights = np.random.default_rng(0).normal(0, 0.5, (1 + USERS + ITEMS, WIDTH + 1)).astype(np.float32)
    weights[0, :-1] = 0.0
    return weights


def reference(build: Callable[..., torch.optim.Optimizer], columns: Samples, steps: list[int], clip: Any) -> np.ndarray:
    """Train with torch's optimizer and autograd, in double precision."""
    weights = torch.nn.Parameter(torch.from_numpy(initial_weights()).double())
    optimizer = build([weights])
    for begin, end in pairwise(steps):
        user, item, label = (torch.from_numpy(column[begin:end]).long() for column in columns)
        left, right = weights[user], weights[item]
        logit = (left[:, :-1] * right[:, :-1]).sum(dim=1) + left[:, -1] + right[:, -1] + weights[0, -1]
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logit, label.double()).backward()
        clip(weights)
        optimizer.step()
    return weights.detach().numpy()


OPTIMIZERS: dict[str, Any] = {
    "SGD": st.fixed_dictionaries({"lr": st.floats(1e-3, 1.0), "weight_decay": st.sampled_from([0.0, 0.02])}),
    "Adagrad": st.fixed_dictionaries(
        {
            "lr": st.floats(1e-3, 0.3),
            "lr_decay": st.sampled_from([0.0, 0.1]),
            "weight_decay": st.sampled_from([0.0, 0.02]),
            "initial_accumulator_value": st.sampled_from([0.0, 0.1]),
        }
    ),
    "AdamW": st.fixed_dictionaries(
        {
            "lr": st.floats(1e-4, 0.05),
            "betas": st.sampled_from([(0.9, 0.999), (0.0, 0.9), (0.5, 0.9), (0.9, 0.98), (0.95, 0.9999)]),
            "eps": st.sampled_from([1e-12, 1e-8, 1e-4, 1e-2]),
            "weight_decay": st.sampled_from([0.0, 0.01]),
        }
    ),
    # With a tiny eps, a weight whose gradient is its decay alone moves by the sign of that, round 0.
    "Adam": st.fixed_dictionaries(
        {
            "lr": st.floats(1e-4, 0.05),
            "betas": st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.9, 0.98), (0.95, 0.9999)]),
            "eps": st.sampled_from([1e-4, 1e-2]),
            "weight_decay": st.sampled_from([0.001, 0.01]),
        }
    ),
}
CLIPPINGS: dict[str, tuple[Any, ClippingLimits]] = {
    "none": (lambda _: None, ClippingLimits(np.float32(np.inf), np.float32(np.inf))),
    "value": (
        lambda each: torch.nn.utils.clip_grad_value_([each], 0.02),
        ClippingLimits(np.float32(0.02), np.float32(np.inf)),
    ),
    "norm": (
        lambda each: torch.nn.utils.clip_grad_norm_([each], 0.1),
        ClippingLimits(np.float32(np.inf), np.float32(0.1)),
    ),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@settings(deadline=None, max_examples=25)
@given(data=st.data(), batch=st.integers(1, 9), count=st.integers(1, 300), clipping=st.sampled_from(sorted(CLIPPINGS)))
def test_training_equals_torchs_dense_optimizers(
    kind: str, data: st.DataObject, batch: int, count: int, clipping: str
) -> None:
    options = data.draw(OPTIMIZERS[kind])

    def build(parameters: Any) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = getattr(torch.optim, kind)(parameters, **options)
        return optimizer

    columns, steps = samples(count, seed=batch), [*range(0, count, batch), count]
    clip, limits = CLIPPINGS[clipping]
    expected = reference(build, columns, steps, clip)
    model = torch.nn.Linear(1, 1)
    table = matched_table(build(model.parameters()), model)(initial_weights())
    # In two parts, as two epochs are, with the first one's weights read between.
    middle = len(steps) // 2
    for part in (steps[: middle + 1], steps[middle:]):
        if len(part) > 1:
            own = tuple(column[part[0] : part[-1]] for column in columns)
            assert table.train(planned(own, [each - part[0] for each in part]), SLOPES, limits, {})
            table.weights()
    # Two terms stand for the moves of many idle steps, right to 1 % of them where eps is like the gradients.
    tolerance = 1e-5 + (2e-2 if options.get("eps", 0.0) > 1e-8 else 2e-4) * np.abs(expected - initial_weights()).max()
    assert np.abs(table.weights() - expected).max() < tolerance


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_tables_share_changes_none_of_them(kind: str) -> None:
    columns, steps = samples(120, seed=3), [*range(0, 120, 9), 120]
    steeper = SLOPES._replace(cells=SLOPES.cells * np.float32(3))

    def trained(*shared: dict[Hashable, Any]) -> list[np.ndarray]:
        tables = []
        for number, (rate, slopes) in enumerate(product((0.01, 0.03), (SLOPES, steeper))):
            model = torch.nn.Linear(1, 1)
            optimizer = getattr(torch.optim, kind)(model.parameters(), lr=rate)
            tables.append((matched_table(optimizer, model)(initial_weights()), slopes, shared[number % len(shared)]))
        for _ in range(2):
            for table, slopes, own in tables:
                assert table.train(planned(columns, steps), slopes, CLIPPINGS["none"][1], own)
            for each in shared:
                each.clear()
        return [table.weights() for table, _, _ in tables]

    alone = trained({}, {}, {}, {})
    assert all(np.array_equal(one, other) for one, other in zip(trained({}), alone, strict=True))
    assert not any(np.allclose(one, other) for one, other in combinations(alone, 2))


def test_a_plan_names_every_sample_of_every_row_once() -> None:
    user, item, label = samples(50, seed=1)
    steps = [0, 8, 16, 17, 50]
    plan = planned((user, item, label), steps)
    for step, (begin, end) in enumerate(pairwise(steps)):
        reads = range(plan.row_starts[step], plan.row_starts[step + 1])
        rows = plan.rows[list(reads)]
        assert rows[0] == 0
        assert sorted(rows[1:]) == sorted({*user[begin:end], *item[begin:end]})
        for read in reads[1:]:
            terms = plan.terms[plan.term_starts[read] : plan.term_starts[read + 1]]
            others = plan.others[plan.term_starts[read] : plan.term_starts[read + 1]]
            own = [sample for sample in range(begin, end) if plan.rows[read] in (user[sample], item[sample])]
            assert sorted(terms) == own
            assert all(
                {plan.rows[read], other} == {user[term], item[term]} for term, other in zip(terms, others, strict=True)
            )
    assert (plan.most_rows, plan.most_samples) == (int(np.diff(plan.row_starts).max()), 33)


def test_training_ends_where_a_derivative_is_not_finite() -> None:
    columns = samples(40, seed=1)
    model = torch.nn.Linear(1, 1)
    table = matched_table(torch.optim.SGD(model.parameters(), lr=0.1), model)(initial_weights())
    cells = SLOPES.cells.copy()
    cells[len(cells) // 2 :] = np.nan
    assert not table.train(planned(columns, [0, 20, 40]), SLOPES._replace(cells=cells), CLIPPINGS["none"][1], {})
