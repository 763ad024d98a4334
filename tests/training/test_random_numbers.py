"""Trainings draw the same numbers with the same seed, whoever draws them, and leave the process its own."""
# ruff: noqa: NPY002  (numpy's global state is what is looked at)

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch

from lightning_modules.search.evaluation import isolated_training
from lightning_modules.training.quiet import quiet_training
from lightning_modules.training.random_numbers import forked_random_numbers, seed_random_numbers


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.random()), random.random()


@contextmanager
def quiet(seed: int) -> Iterator[None]:
    with quiet_training():
        seed_random_numbers(seed)
        yield


@contextmanager
def trial(seed: int) -> Iterator[None]:
    with isolated_training(seed, 0.0):
        yield


@pytest.mark.parametrize("training", [quiet, trial])
def test_a_training_draws_by_its_seed_alone_and_leaves_others_their_numbers(
    training: Callable[[int], AbstractContextManager[None]],
) -> None:
    with forked_random_numbers():
        seed_random_numbers(1)
        expected = [draws(), draws()]
        seed_random_numbers(1)
        found, inside = [draws()], []
        for seed in (7, 7, 8):
            with training(seed):
                inside.append(draws())
        found.append(draws())
    assert found == expected
    assert inside[0] == inside[1]
    assert not set(inside[0]) & set(inside[2])


def failing_training() -> None:
    with forked_random_numbers():
        seed_random_numbers(2)
        raise ValueError("boom")


def test_the_numbers_are_restored_after_an_error() -> None:
    with forked_random_numbers():
        seed_random_numbers(1)
        expected = draws()
        seed_random_numbers(1)
        with pytest.raises(ValueError, match="boom"):
            failing_training()
        assert draws() == expected


@pytest.mark.parametrize("seed", [0, 2**32 + 5, 2**63 - 1])
def test_every_seed_of_torch_can_be_given(seed: int) -> None:
    found = []
    for _ in range(2):
        with forked_random_numbers():
            seed_random_numbers(seed)
            found.append(draws())
    assert found[0] == found[1]
