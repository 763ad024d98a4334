import time
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from lightning_modules.agents import ReplayBuffer


class Rows(NamedTuple):
    number: Tensor
    pair: Tensor


def rows(*numbers: int) -> Rows:
    number = torch.tensor(numbers, dtype=torch.int64)
    return Rows(number, torch.stack([number, -number], dim=1).float())


def held(buffer: ReplayBuffer[Rows]) -> list[int]:
    return sorted(buffer.state_dict()["columns"]["number"].tolist())


@pytest.mark.parametrize("sizes", [[1] * 23, [3] * 8, [5, 1, 7, 2, 8], [4, 7], [30], [2, 26], [7, 7, 7]])
def test_it_keeps_the_last_rows(sizes: list[int]) -> None:
    buffer = ReplayBuffer(7, Rows)
    stored: list[int] = []
    for size in sizes:
        new = list(range(len(stored), len(stored) + size))
        buffer.store(rows(*new))
        stored += new
        assert held(buffer) == stored[-7:]
        assert len(buffer) == min(7, len(stored))


def test_a_sample_is_uniform_and_its_columns_stay_together() -> None:
    buffer = ReplayBuffer(100, Rows)
    buffer.store(rows(*range(10)))
    sample = buffer.sample(20_000, torch.Generator().manual_seed(0))
    assert isinstance(sample, Rows)
    torch.testing.assert_close(sample.pair, torch.stack([sample.number, -sample.number], dim=1).float())
    share = torch.bincount(sample.number, minlength=10) / 20_000
    torch.testing.assert_close(share, torch.full((10,), 0.1), atol=0.01, rtol=0)


def test_the_same_generator_draws_the_same_rows() -> None:
    buffer = ReplayBuffer(50, Rows)
    buffer.store(rows(*range(50)))
    first, second = (buffer.sample(30, torch.Generator().manual_seed(3)).number for _ in range(2))
    assert torch.equal(first, second)


def test_stored_rows_do_not_follow_later_changes() -> None:
    buffer, new = ReplayBuffer(5, Rows), rows(1, 2)
    buffer.store(new)
    new.number.zero_()
    assert held(buffer) == [1, 2]


@pytest.mark.parametrize("count", [4, 11])
def test_it_comes_back_from_its_state(count: int) -> None:
    buffer, restored = ReplayBuffer(7, Rows), ReplayBuffer(7, Rows)
    for number in range(count):
        buffer.store(rows(number))
    state = buffer.state_dict()
    assert len(state["columns"]["number"].untyped_storage()) <= 7 * 8
    restored.load_state_dict(state)
    for each in (buffer, restored):
        each.store(rows(100, 101))
    samples = [each.sample(20, torch.Generator().manual_seed(0)).number for each in (buffer, restored)]
    assert torch.equal(*samples)


def test_a_state_of_another_size_is_refused() -> None:
    buffer = ReplayBuffer(7, Rows)
    buffer.store(rows(*range(9)))
    for capacity in (5, 9):
        with pytest.raises(ValueError, match=f"another size than {capacity}"):
            ReplayBuffer(capacity, Rows).load_state_dict(buffer.state_dict())


def test_a_million_rows_are_stored_within_a_second() -> None:
    buffer = ReplayBuffer(500_000, Rows)
    batch = rows(*range(2000))
    started = time.perf_counter()
    for _ in range(500):
        buffer.store(batch)
    assert time.perf_counter() - started < 1.0
    assert len(buffer) == 500_000


def test_sampling_does_not_depend_on_what_is_held() -> None:
    seconds = {}
    for size in (1_000, 1_000_000):
        buffer = ReplayBuffer(size, Rows)
        buffer.store(Rows(torch.arange(size), torch.zeros(size, 2)))
        generator, runs = torch.Generator().manual_seed(0), []
        for _ in range(30):
            started = time.perf_counter()
            buffer.sample(256, generator)
            runs.append(time.perf_counter() - started)
        seconds[size] = min(runs)
    # A permutation of a million rows takes about ten milliseconds.
    assert seconds[1_000_000] < seconds[1_000] + 2e-3


def test_bad_use_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity of 0"):
        ReplayBuffer(0)
    with pytest.raises(ValueError, match="nothing to sample"):
        ReplayBuffer(5).sample(1, torch.Generator())
