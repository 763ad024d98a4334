from typing import Any

import pytest
import torch

from lightning_modules.populations.idle_moves import IdleMoves
from lightning_modules.populations.row_adam import RowAdam
from lightning_modules.populations.row_optimizers import RowAdagrad, RowSGD

ROWS, COPIES, WIDTH = 30, 3, 5


def trained(
    kind: Any, dense_kind: Any, steps: int, scale: float = 1.0, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Train a table with gradients of a few rows a step; return the moves of the rows, and those of the dense one."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(ROWS, COPIES, WIDTH, generator=generator, dtype=torch.float64)
    dense = start.clone().requires_grad_()
    optimizer = dense_kind([dense], **settings)
    rows = kind(start.clone(), {**optimizer.defaults})
    for _ in range(steps):
        used = (torch.rand(ROWS, generator=generator) < 0.2).nonzero().squeeze(1)
        gradient = scale * torch.randn(len(used), COPIES, WIDTH, generator=generator, dtype=torch.float64)
        dense.grad = torch.zeros_like(dense).index_copy_(0, used, gradient)
        optimizer.step()
        fetched = rows.fetch(used)
        rows.fetch(torch.arange(ROWS))
        rows.step(fetched, gradient)
    return rows.fetch(torch.arange(ROWS)).vectors - start, dense.detach() - start


@pytest.mark.parametrize("steps", [1, 2, 60])
@pytest.mark.parametrize(
    ("kind", "dense_kind", "settings"),
    [
        (RowSGD, torch.optim.SGD, {"lr": 0.1}),
        (RowAdagrad, torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
        (RowAdam, torch.optim.Adam, {"lr": 0.1}),
        (RowAdam, torch.optim.Adam, {"lr": 0.1, "betas": (0.0, 0.99)}),
        (RowAdam, torch.optim.Adam, {"lr": 0.1, "eps": 0.1, "betas": (0.5, 0.9)}),
    ],
)
def test_rows_move_as_in_the_dense_optimizer(kind: Any, dense_kind: Any, settings: dict[str, Any], steps: int) -> None:
    mine, dense = trained(kind, dense_kind, steps, **settings)
    torch.testing.assert_close(mine, dense, rtol=1e-9, atol=1e-3 if settings.get("eps") == 0.1 else 1e-5)


def test_adam_goes_on_when_its_weights_grow_out_of_single_precision() -> None:
    mine, dense = trained(RowAdam, torch.optim.Adam, 400, lr=0.1, betas=(0.5, 0.9))
    torch.testing.assert_close(mine, dense, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1e-7, 1e-8, 1e-10])
def test_gradients_as_small_as_eps_move_rows_alike(scale: float) -> None:
    mine, dense = trained(RowAdam, torch.optim.Adam, 60, scale, lr=1.0)
    assert (mine - dense).abs().max() < 2e-2
    assert dense.abs().max() > 0.1


@pytest.mark.parametrize(("since", "until"), [(1, 2), (1, 3), (40, 41), (40, 60), (3, 2000), (1500, 1600)])
def test_the_sum_of_moves_is_that_of_the_moves(since: int, until: int) -> None:
    betas, eps, mean, squares = (0.9, 0.999), 1e-3, 0.7, 2.0
    step = torch.arange(since, until, dtype=torch.float64)
    mean_then = mean * betas[0] ** (step - since) / (1 - betas[0] ** step)
    squares_then = squares * betas[1] ** (step - since) / (1 - betas[1] ** step)
    weights, shifts, kept = IdleMoves(betas, eps, torch.device("cpu"))(torch.tensor([since]), until)
    root = (squares / (1 - betas[1]) * betas[1] ** -since) ** 0.5
    moves = mean / (1 - betas[0]) * (weights / (root + shifts)).sum(0)
    torch.testing.assert_close(moves, (mean_then / (squares_then.sqrt() + eps)).sum(0, keepdim=True), rtol=1e-7, atol=0)
    assert kept.item() == pytest.approx(betas[0] ** (until - since))
