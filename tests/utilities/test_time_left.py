"""The time left is computed from what parts of each kind have taken."""

import pytest

from lightning_modules.utilities.time_left import TimeLeft


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def worked() -> tuple[TimeLeft, Time]:
    """Return the estimate after parts of 3 and 5 seconds, with 4 left, and 2 of a kind ten times as long."""
    clock = Time()
    left = TimeLeft(clock)
    left.plan("short", 6)
    left.plan("long", 2, weight=10)
    for seconds in (3, 5):
        clock.now += seconds
        left.done("short")
    return left, clock


def test_parts_take_as_long_as_others_of_their_kind_and_unknown_kinds_by_their_weight() -> None:
    left, clock = worked()
    assert left.seconds == pytest.approx(4 * 4 + 2 * 40)
    clock.now += 7
    assert left.seconds == pytest.approx(4 * 4 + 2 * 40 - 7)


def test_a_kind_that_is_known_needs_no_weight() -> None:
    left, clock = worked()
    clock.now += 11
    left.done("long")
    assert left.seconds == pytest.approx(4 * 4 + 11)


def test_what_was_done_before_says_nothing_of_time() -> None:
    left, clock = worked()
    clock.now += 1
    for _ in range(3):
        left.done("short", known=True)
    assert left.seconds == pytest.approx(1 * 4 + 2 * 40)


def test_nothing_is_known_before_the_first_part_and_nothing_is_left_after_the_last() -> None:
    clock = Time()
    left = TimeLeft(clock)
    left.plan("part", 1)
    assert left.seconds is None
    clock.now += 1
    left.done("part")
    assert left.seconds == 0


def test_time_is_never_below_zero() -> None:
    left, clock = worked()
    clock.now += 1e6
    assert left.seconds == 0


def test_a_kind_of_no_weight_counts_once_it_is_known() -> None:
    left, clock = worked()
    left.plan("light", 5, weight=0)
    assert left.seconds == pytest.approx(96)
    clock.now += 2
    left.done("light")
    assert left.seconds == pytest.approx(96 + 4 * 2)


def test_a_limit_is_the_most_that_a_kind_may_take() -> None:
    left, _ = worked()
    left.plan("short", 4, most=lambda: 9.0)
    assert left.seconds == pytest.approx(9 + 80)
    left.plan("short", 4, most=lambda: -3.0)
    assert left.seconds == pytest.approx(80)
