"""Compiled training of deep matrix factorisation against torch's modules and optimizers in double precision."""

import copy
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from datamodules.batches import Batch
from lightning_modules.losses import BCE
from lightning_modules.populations import UnmatchedError
from lightning_modules.populations.fused.deep_mf import FusedDeepMF
from lightning_modules.populations.fused.fused_population import slope_cells
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits
from lightning_modules.populations.fused.matching import matched_limits, matched_table
from lightning_modules.populations.fused.products import add_product
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.recommenders import DeepMF

USERS, ITEMS = 6, 8
SLOPES = slope_cells(SlopeTable([BCE()], torch.device("cpu")))[0]
SGD = partial(torch.optim.SGD, lr=0.1)

Build = Callable[..., torch.optim.Optimizer]

# Adam's eps is large, since the gradients that batch normalisation cancels are rounding errors.
OPTIMIZERS: dict[str, Build] = {
    "SGD": SGD,
    "SGD with weight decay": partial(torch.optim.SGD, lr=0.1, weight_decay=0.02),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.02, lr_decay=0.1, weight_decay=0.02, initial_accumulator_value=0.1),
    "Adam": partial(torch.optim.Adam, lr=5e-3, eps=1e-3),
    "Adam with weight decay": partial(torch.optim.Adam, lr=5e-3, eps=1e-3, weight_decay=0.01),
    "AdamW": partial(torch.optim.AdamW, lr=5e-3, eps=1e-3, betas=(0.8, 0.98), weight_decay=0.1),
}
CLIPPINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "norm": {"gradient_clip_val": 0.1},
}


def deep_mf(**options: Any) -> DeepMF:
    torch.manual_seed(5)
    return DeepMF(USERS, ITEMS, **{"embedding_dim": 3, "hidden_features": (5, 4), "init_std": 0.5, **options})


def rows(count: int, seed: int) -> Batch:
    """Return rows of users and items, and labels; some are much more frequent than others."""
    draws = np.random.default_rng(seed)
    user, item = (torch.from_numpy((size * draws.random(count) ** 2).astype(np.int64)) for size in (USERS, ITEMS))
    return Batch(user, item, torch.from_numpy(draws.integers(0, 2, count)).float())


def clip(parameters: list[nn.Parameter], recipe: dict[str, Any]) -> None:
    if "gradient_clip_algorithm" in recipe:
        nn.utils.clip_grad_value_(parameters, recipe["gradient_clip_val"])
    elif recipe:
        nn.utils.clip_grad_norm_(parameters, recipe["gradient_clip_val"])


def reference(model: DeepMF, build: Build, samples: Batch, steps: list[int], recipe: dict[str, Any]) -> DeepMF:
    """Train with torch's modules, optimizer and autograd, in double precision."""
    model = copy.deepcopy(model).double().train()
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = build(parameters)
    for begin, end in pairwise(steps):
        user, item, label = (column[begin:end] for column in samples)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(user, item), label.double()).backward()
        clip(parameters, recipe)
        optimizer.step()
    return model.eval()


def fused_copy(model: DeepMF, build: Build = SGD) -> FusedDeepMF:
    return FusedDeepMF(model, matched_table(build(model.parameters()), model))


def trained(model: DeepMF, build: Build, samples: Batch, steps: list[int], limits: ClippingLimits) -> FusedDeepMF:
    """Train with kernels in two parts, as two epochs are, with the first one's weights read between."""
    copied, middle = fused_copy(model, build), len(steps) // 2
    for part in (steps[: middle + 1], steps[middle:]):
        if len(part) > 1:
            own = Batch(*(column[part[0] : part[-1]] for column in samples))
            assert copied.train(copied.plan(own, [each - part[0] for each in part]), SLOPES, limits, {})
            copied.state()
    return copied


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@settings(deadline=None, max_examples=12)
@given(
    hidden=st.sampled_from([(), (5,), (5, 4), (3, 9, 6)]),
    batch_norm=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    batch=st.integers(8, 21),
    count=st.integers(1, 120),
    clipping=st.sampled_from(sorted(CLIPPINGS)),
)
def test_training_equals_torchs_modules_and_optimizers(
    optimizer: str,
    hidden: tuple[int, ...],
    batch_norm: bool,
    dropout: float,
    batch: int,
    count: int,
    clipping: str,
) -> None:
    model = deep_mf(hidden_features=hidden, batch_norm=batch_norm, dropout=dropout)
    samples, steps = rows(count, seed=batch), [*range(0, count, batch), count]
    build, recipe = OPTIMIZERS[optimizer], CLIPPINGS[clipping]
    torch.manual_seed(1)
    expected = reference(model, build, samples, steps, recipe)
    torch.manual_seed(1)
    copied = trained(model, build, samples, steps, matched_limits(recipe))
    before, state = model.state_dict(), copied.state()
    assert state.keys() == {name for name in expected.state_dict() if not name.startswith("metrics.")}
    moved = max(float((value - before[name]).abs().max()) for name, value in expected.state_dict().items())
    for name, value in state.items():
        assert float((value - expected.state_dict()[name]).abs().max()) < 1e-5 + 2e-3 * moved, name
    with torch.no_grad():
        logits = expected(samples.user, samples.item)
        assert torch.allclose(copied.logits(samples).double(), logits, atol=1e-4 + 5e-3 * moved)


def test_training_ends_where_a_derivative_is_not_finite() -> None:
    copied, samples = fused_copy(deep_mf()), rows(40, seed=1)
    cells = SLOPES.cells.copy()
    cells[len(cells) // 2 :] = np.nan
    plan = copied.plan(samples, [0, 20, 40])
    assert not copied.train(plan, SLOPES._replace(cells=cells), matched_limits({}), {})


def frozen(module: str) -> DeepMF:
    model = deep_mf()
    model.get_submodule(module).requires_grad_(False)
    return model


def with_layer(position: int, layer: nn.Module) -> DeepMF:
    model = deep_mf()
    model.mlp[position] = layer
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: frozen("user_embedding"), "user_embedding"),
        (lambda: frozen("mlp.4"), "Linear"),
        (lambda: frozen("mlp.1"), "BatchNorm"),
        (lambda: with_layer(2, nn.Tanh()), "Tanh"),
        (lambda: with_layer(2, nn.Identity()), "Identity"),
        (lambda: with_layer(1, nn.ReLU()), "ReLU"),
        (lambda: with_layer(1, nn.BatchNorm1d(5)), "BatchNorm1d"),
    ],
)
def test_other_layers_and_fixed_weights_are_refused(model: Callable[[], DeepMF], reason: str) -> None:
    with pytest.raises(UnmatchedError, match=reason):
        fused_copy(model())


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(1, 11), terms=st.integers(1, 11), columns=st.integers(1, 40), seed=st.integers(0, 9))
def test_products_of_all_sizes(rows: int, terms: int, columns: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    left, right, result = (
        draws.normal(size=size).astype(np.float32) for size in ((rows, terms), (terms, columns), (rows, columns))
    )
    expected = result + left.astype(np.float64) @ right
    as_columns = np.ascontiguousarray(left.T).T
    for each in (left, as_columns):
        total = result.copy()
        add_product(total, each, right)
        assert np.abs(total - expected).max() < 1e-5
