from typing import Any

import pytest
import torch

from lightning_modules.populations.lazy_adam import IdleMoves
from lightning_modules.populations.lazy_optimizers import RowAdagrad, RowAdam, RowSGD

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


def followed(
    betas: tuple[float, float], eps: float, scale: float, steps: int, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Train rows that are read from nearly always to hardly ever, with gradients around ``scale``.

    Returns:
        Where the rows end, where those of the dense optimizer do, and how far these went, in learning rates.
    """
    generator = torch.Generator().manual_seed(0)
    dense = torch.zeros(ROWS, 2, 3, dtype=dtype).requires_grad_()
    optimizer = torch.optim.Adam([dense], lr=1.0, betas=betas, eps=eps)
    rows = RowAdam(torch.zeros(ROWS, 2, 3, dtype=dtype), {**optimizer.defaults})
    sizes = scale * torch.tensor([0.1, 1.0, 10.0], dtype=dtype)
    chances, distance = torch.logspace(0, -3, ROWS), torch.zeros_like(dense)
    for _ in range(steps):
        used = (torch.rand(ROWS, generator=generator) < chances).nonzero().squeeze(1)
        gradient = sizes * torch.randn(len(used), 2, 3, generator=generator, dtype=dtype)
        dense.grad, before = torch.zeros_like(dense).index_copy_(0, used, gradient), dense.detach().clone()
        optimizer.step()
        rows.step(rows.fetch(used), gradient)
        distance += (dense.detach() - before).abs()
    return rows.fetch(torch.arange(ROWS)).vectors, dense.detach(), distance


@pytest.mark.parametrize("steps", [1, 2, 40, 200])
@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.99), (0.5, 0.9), (0.8, 0.9), (0.1, 0.5)], ids=str)
def test_idle_rows_go_where_dense_ones_do(betas: tuple[float, float], eps: float, steps: int) -> None:
    # Relative to the distance gone: one or two moves are summed exactly, more of them all but, if gradients are far
    # from eps.
    for scale, tolerance in [(1e-2, 1e-4), (1.0, 2e-3), (1e2, 2e-3), (1e5, 0.0)]:
        mine, expected, distance = followed(betas, eps, scale * eps, steps, torch.float32)
        bound = 2e-6 + (tolerance if steps > 2 else 0.0)
        assert ((mine - expected).abs() <= bound * distance.clamp(min=1.0)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("betas", "eps", "steps"), [((0.9, 0.999), 1e-8, 4000), ((0.5, 0.9), 1e-3, 1500)], ids=str)
def test_many_steps_do_not_add_up_errors(betas: tuple[float, float], eps: float, steps: int) -> None:
    mine, expected, distance = followed(betas, eps, 10 * eps, steps, torch.float32)
    assert ((mine - expected).abs() <= 2e-3 + 1e-4 * distance).all()


@pytest.mark.parametrize("root_in_eps", [1.9, 2.0, 2.1])
def test_rows_read_in_two_steps_running_have_no_pole(root_in_eps: float) -> None:
    """Nor at other quotients of the root of the squares and eps: no node of the sum is negative."""
    moves = IdleMoves((0.9, 0.999), 1e-8, torch.device("cpu"))
    for until in [*range(2, 40), 300, 2000]:
        since = torch.arange(1, until)
        weights, shifts, _ = moves.sums(since, until)
        assert (weights >= 0).all()
        # Those of g_s between the first and the last step, as the moments are kept.
        root = (1 - 0.999) ** 0.5 * 0.999 ** (0.5 * since)
        first, last = ((1 - 0.999**step) ** 0.5 * 0.999 ** (0.5 * (since - step)) for step in (since, until - 1))
        assert (shifts >= 1e-8 * (first / root) * (1 - 1e-3)).all()
        assert (shifts <= 1e-8 * (last / root) * (1 + 1e-3)).all()
    rows = RowAdam(torch.zeros(1, 1, 1), {"lr": 1.0, "betas": (0.9, 0.999), "eps": 1e-8})
    for _ in range(50):
        rows.step(rows.fetch(torch.zeros(1, dtype=torch.int64)), torch.full((1, 1, 1), root_in_eps * 1e-8))
        assert rows.fetch(torch.zeros(1, dtype=torch.int64)).vectors.abs() < 50


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
    weights, shifts, kept = IdleMoves(betas, eps, torch.device("cpu")).sums(torch.tensor([since]), until)
    root = (squares / (1 - betas[1]) * betas[1] ** -since) ** 0.5
    moves = mean / (1 - betas[0]) * (weights / (root + shifts)).sum(0)
    torch.testing.assert_close(moves, (mean_then / (squares_then.sqrt() + eps)).sum(0, keepdim=True), rtol=1e-7, atol=0)
    assert kept.item() == pytest.approx(betas[0] ** (until - since))
