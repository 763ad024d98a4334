"""The bars of a search know how much there is of everything, and the time of all of it."""

from typing import Any

import pytest
from rich.console import Console

from lightning_modules.search.answer import FinalistRun, Validation
from lightning_modules.search.events import SearchProgress
from lightning_modules.search.reports.progress import ExpectedWork, ProgressDisplay
from lightning_modules.training.tuning import Setting
from tests.search.observer_helpers import candidate, reference, round_summary
from tests.search.search_helpers import full_space

SPACE = full_space(nodes=5)
VALIDATED = Validation(1, "BCE", 0.7, ())


class Display:
    """A search of 3 rounds of 2 candidates, whose events take seconds that are given."""

    def __init__(self, **work: Any) -> None:
        self.now = 0.0
        given = {"rounds": 3, "candidates": 2, "warmup_updates": 0, "references": 0, **work}
        self.display = ProgressDisplay(Console(quiet=True), ExpectedWork(**given), clock=lambda: self.now)

    def candidates(self, number: int, seconds: float) -> None:
        for _ in range(2):
            self.now += seconds
            self.display.on_candidate(candidate(round=number))
        self.display.on_round(round_summary(number, SPACE))

    def finalist(self, name: str, seconds: float = 0.0) -> None:
        self.now += seconds
        self.display.on_finalist([FinalistRun(name, 42, "trained", 0.7, 1, 0.1, 0.0, seconds)])

    @property
    def left(self) -> float | None:
        return self.display.progress.time_left.seconds

    def counts(self, name: str) -> tuple[float, float | None]:
        (task,) = [task for task in self.display.progress.tasks if task.description == name]
        return task.completed, task.total


def test_the_time_left_is_that_of_rounds_and_finalists() -> None:
    search = Display(finalists=2, finalist_weight=10)
    assert search.left is None
    search.candidates(1, 3)
    assert search.left == pytest.approx(4 * 3 + 3 * 30)
    search.candidates(2, 5)
    assert search.left == pytest.approx(2 * 4 + 3 * 40)
    search.candidates(3, 4)
    search.finalist("BCE", 25)
    assert search.left == pytest.approx(2 * 25)
    search.finalist("pred", 35)
    assert search.left == pytest.approx(30)
    # No further formula was different from these.
    search.display.on_validation(VALIDATED)
    assert search.left == 0
    assert search.counts("finalists") == (2, 2)


def test_reference_losses_tell_how_long_candidates_take_and_updates_are_their_own_kind() -> None:
    search = Display(references=2, warmup_updates=4)
    for _ in range(2):
        search.now += 6
        search.display.on_candidate(reference("BCE", 0.0))
    assert search.left == pytest.approx(6 * 6)
    search.now += 1
    search.display.on_warm_up(1, {})
    assert search.left == pytest.approx(6 * 6 + 3 * 1)


def test_the_tuning_of_the_baseline_tells_nothing_of_other_losses() -> None:
    search = Display(references=2, settings=2)
    assert search.counts("baseline") == (0, 3)
    for number in range(4):
        search.now += 22.5
        search.display.on_setting(Setting(0.1 * (number + 1), 0.0, (("temperature", 0.2),)), 0.25 if number else None)
        assert search.counts("baseline") == (number + 1, max(3, number + 2))
    note = "learning rate 0.4, weight decay 0, temperature 0.2: 0.2500"
    assert search.display.progress.tasks[0].fields["note"] == note
    search.display.on_baseline()
    assert search.counts("baseline") == (5, 5)
    assert search.left is None
    search.now += 6
    search.display.on_candidate(reference("BPR", 0.0))
    assert search.left == pytest.approx(6 + 6 * 6)


def test_finalists_that_are_trained_every_few_rounds_are_counted_once_and_never_more_than_the_total() -> None:
    search = Display(finalists=2, validations=3)
    names = (["BCE", "a", "b"], ["BCE", "b", "c"], ["BCE", "c"])
    for number, chosen in enumerate(names, 1):
        search.candidates(number, 1)
        for name in chosen:
            search.finalist(name, 2)
            done, total = search.counts("finalists")
            assert total is not None
            assert done <= total
        search.display.on_validation(VALIDATED)
    assert search.counts("finalists") == (4, 4)
    assert search.counts("candidates") == (6, 6)


def test_what_an_earlier_process_did_is_counted_and_not_timed() -> None:
    search = Display(finalists=2, known_finalists={"BCE", "a"})
    search.display.on_resume(SearchProgress(0, 2, (candidate(), candidate(), candidate(), candidate())))
    assert search.counts("candidates") == (4, 6)
    assert search.left is None
    search.candidates(3, 5)
    search.finalist("BCE")
    search.finalist("a")
    assert search.left == pytest.approx(5)
    search.finalist("b", 40)
    assert search.counts("finalists") == (3, 3)


def test_a_time_budget_ends_the_rounds_and_not_the_finalists() -> None:
    search = Display(rounds=100, finalists=1, finalist_weight=2, seconds=lambda: 60 - search.now)
    search.candidates(1, 5)
    assert search.left == pytest.approx(50 + 2 * 2 * 5)


def test_a_round_that_found_too_few_programs_is_done() -> None:
    search = Display()
    search.display.on_round(round_summary(1, SPACE, rewards=()))
    assert search.counts("candidates") == (2, 6)
