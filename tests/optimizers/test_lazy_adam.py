"""Lazy Adam against torch's Adam, and what reads a table between its steps."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import Adam

from datamodules import SyntheticFeedback
from lightning_modules.optimizers import LazyAdam, LazyTable
from lightning_modules.recommenders import MF

pytest.importorskip("numba")

ROWS, WIDTH, RATE = 12, 3, 0.1


class Twins:
    """A lazy table and an embedding that begin alike and get the same gradients."""

    def __init__(self, table: Mapping[str, Any] | None = None, **options: Any) -> None:
        torch.manual_seed(0)
        self.lazy, self.dense = (kind(ROWS, WIDTH, **(table or {})) for kind in (LazyTable, nn.Embedding))
        self.dense.load_state_dict(self.lazy.state_dict())
        self.lazy_adam = LazyAdam(self.lazy.parameters(), RATE, **options)
        self.lazy_adam.connect(nn.ModuleList([self.lazy]))
        self.adam = Adam(self.dense.parameters(), RATE, **options)
        self.generator = torch.Generator().manual_seed(1)

    def step(self, rows: Sequence[int]) -> None:
        slopes = torch.randn(len(rows), WIDTH, generator=self.generator)
        for table, optimizer in ((self.lazy, self.lazy_adam), (self.dense, self.adam)):
            optimizer.zero_grad()
            (table(torch.tensor(rows)) * slopes).sum().backward()
            optimizer.step()

    def largest_difference(self) -> float:
        return float((self.lazy.weight - self.dense.weight).detach().abs().max())


def moments(optimizer: Adam) -> list[Tensor]:
    (state,) = optimizer.state_dict()["state"].values()
    return [state["step"], state["exp_avg"], state["exp_avg_sq"]]


batches = st.lists(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=6), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(batches, st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)]))
def test_weights_and_moments_are_those_of_adam(steps: list[list[int]], betas: tuple[float, float]) -> None:
    twins = Twins(betas=betas)
    for rows in steps:
        twins.step(rows)
    # Sums of idle moves are right to 1 %, and each of these moves is at most the learning rate, ten of them together.
    assert twins.largest_difference() < 0.01 * RATE
    for lazy, dense in zip(moments(twins.lazy_adam), moments(twins.adam), strict=True):
        torch.testing.assert_close(lazy, dense, rtol=1e-4, atol=1e-7)


def test_rows_that_are_read_in_every_other_step_move_exactly() -> None:
    twins = Twins()
    for number in range(60):
        twins.step(range(number % 2, ROWS, 2))
    assert twins.largest_difference() < 2e-6


def test_only_rows_that_are_read_are_touched_between_steps() -> None:
    twins = Twins()
    twins.step(range(ROWS))
    memory = twins.lazy.weight.detach()
    before = memory.clone()
    twins.step([2, 3, 2])
    changed = (memory != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [2, 3]
    # Adam moves the others too.
    assert (twins.lazy.weight.detach() != before).any(dim=1).all()


@pytest.mark.parametrize("read", ["weight", "parameters", "state_dict", "copy", "rows", "optimizer"])
def test_whatever_reads_a_table_gets_weights_that_are_up_to_date(read: str) -> None:
    twins = Twins()
    for rows in ([0, 1, 2], [2, 5], [2]):
        twins.step(rows)
    every_row, memory = torch.arange(ROWS), twins.lazy_adam.param_groups[0]["params"][0]
    reads: Mapping[str, Callable[[], Tensor]] = {
        "weight": lambda: twins.lazy.weight,
        "parameters": lambda: next(nn.ModuleList([twins.lazy]).parameters()),
        "state_dict": lambda: twins.lazy.state_dict()["weight"],
        "copy": lambda: next(copy.deepcopy(twins.lazy).parameters()),
        "rows": lambda: twins.lazy(every_row),
        "optimizer": lambda: (twins.lazy_adam.state_dict(), memory)[1],
    }
    torch.testing.assert_close(reads[read](), twins.dense(every_row), rtol=0, atol=1e-3 * RATE)
    # And goes on from there.
    twins.step([0, 5])
    assert twins.largest_difference() < 1e-3 * RATE


@pytest.mark.parametrize("table", [{"padding_idx": 2}, {"max_norm": 0.5}, {"scale_grad_by_freq": True}])
def test_the_options_of_an_embedding_count(table: Mapping[str, Any]) -> None:
    twins = Twins(table)
    for rows in ([2, 2, 3], [3, 5], [2, 3, 3], [5]):
        twins.step(rows)
    assert twins.largest_difference() < 1e-3 * RATE


def test_a_row_that_is_not_there_is_refused_as_by_an_embedding() -> None:
    twins = Twins()
    twins.step([1, 2])
    for row in (ROWS, -1, 10**9):
        with pytest.raises(IndexError, match="out of range"):
            twins.lazy(torch.tensor([row]))
    twins.step([1, 2])
    assert twins.largest_difference() < 1e-5


@pytest.mark.parametrize(("name", "values"), [("lr", (0.1, 1.0, 0.01)), ("weight_decay", (0.0, 0.3, 0.0))])
def test_a_new_setting_counts_for_the_steps_after_it(name: str, values: Sequence[float]) -> None:
    twins = Twins()
    for value in values:
        for optimizer in (twins.lazy_adam, twins.adam):
            optimizer.param_groups[0][name] = value
        for rows in ([0, 1], [1, 4, 7], [1]):
            twins.step(rows)
    assert twins.largest_difference() < 0.01 * RATE


def test_what_all_rows_have_a_gradient_of_is_left_to_torch() -> None:
    twins = Twins(weight_decay=0.1)
    for rows in ([0, 1], [1, 4, 7], [1]):
        twins.step(rows)
    assert twins.largest_difference() == 0


def test_other_parameters_and_whole_gradients_are_updated_too() -> None:
    twins = Twins()
    twins.step([1, 2])
    for table, optimizer in ((twins.lazy, twins.lazy_adam), (twins.dense, twins.adam)):
        optimizer.zero_grad()
        (table.weight**2).sum().backward()
        optimizer.step()
    twins.step([4])
    assert twins.largest_difference() < 1e-5

    layers = nn.Sequential(LazyTable(ROWS, WIDTH), nn.Linear(WIDTH, 1))
    before = copy.deepcopy(layers.state_dict())
    optimizer = LazyAdam(layers.parameters(), RATE)
    optimizer.connect(layers)
    layers(torch.tensor([3])).sum().backward()
    optimizer.step()
    assert all((layers.state_dict()[name] != value).any() for name, value in before.items())


@pytest.mark.parametrize("to_lazy", [True, False])
def test_state_goes_from_one_adam_to_the_other(to_lazy: bool) -> None:
    twins = Twins()
    for rows in ([0, 1, 2], [2, 5], [2]):
        twins.step(rows)
    giver, taker = (twins.adam, twins.lazy_adam) if to_lazy else (twins.lazy_adam, twins.adam)
    taker.load_state_dict(copy.deepcopy(giver.state_dict()))
    twins.step([5, 6])
    assert twins.largest_difference() < 1e-3 * RATE


def trained(optimizer: type[Adam], **options: object) -> MF:
    pl.seed_everything(1, verbose=False)
    data = SyntheticFeedback(batch_size=256)
    data.setup("fit")
    model = MF(data.num_users, data.num_items, embedding_dim=8, optimizer=partial(optimizer, lr=0.03), cutoffs=[10])
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "max_epochs": 2}
    trainer = pl.Trainer(accelerator="cpu", devices=1, enable_model_summary=False, **quiet, **options)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data)
    return model


def test_a_model_learns_the_same() -> None:
    lazy, dense = trained(LazyAdam), trained(Adam)
    for own, other in zip(lazy.parameters(), dense.parameters(), strict=True):
        assert (own - other).abs().mean() < 1e-3 * other.abs().mean()


def test_gradients_that_are_clipped_are_those_of_all_rows() -> None:
    lazy, dense = trained(LazyAdam, gradient_clip_val=0.01), trained(Adam, gradient_clip_val=0.01)
    for own, other in zip(lazy.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)


def test_tables_are_up_to_date_when_training_ends() -> None:
    model = trained(LazyAdam, limit_val_batches=0)
    parameters = [each.detach().clone() for each in model.parameters()]
    assert all(each.updates is None for each in model.modules() if isinstance(each, LazyTable))
    for before, after in zip(parameters, model.state_dict().values(), strict=False):
        torch.testing.assert_close(before, after, rtol=0, atol=0)
