"""Observers of a search all come to their end, once, whatever fails."""

from typing import Any

import pytest

from lightning_modules.losses import Numerics
from lightning_modules.search.events import SearchObserver, SearchObservers
from lightning_modules.search.limits import SearchLimits
from lightning_modules.search.loss_search import LossSearch
from lightning_modules.search.rewards import Baseline
from lightning_modules.search.sampling import Sampler
from lightning_modules.search.screening import Screening
from lightning_modules.search.strategies import RandomSearch
from lightning_modules.training.tuning import Setting
from tests.search.observer_helpers import candidate, round_summary
from tests.search.search_helpers import full_space, seeded


class Noting(SearchObserver):
    """Notes its events by name, and raises an error in one of them."""

    def __init__(self, fails_in: str = "", error: BaseException | None = None) -> None:
        self.events: list[str] = []
        self.fails_in = fails_in
        self.error = error or OSError("no space")

    def on_resume(self, *arguments: Any) -> None:
        self._note("on_resume")

    def on_setting(self, *arguments: Any) -> None:
        self._note("on_setting")

    def on_baseline(self) -> None:
        self._note("on_baseline")

    def on_warm_up(self, *arguments: Any) -> None:
        self._note("on_warm_up")

    def on_candidate(self, *arguments: Any) -> None:
        self._note("on_candidate")

    def on_round(self, *arguments: Any) -> None:
        self._note("on_round")

    def on_end(self) -> None:
        self._note("on_end")

    def _note(self, event: str) -> None:
        self.events.append(event)
        if event == self.fails_in:
            raise self.error


class Untrained:
    """Trials that measure a baseline, or fail to."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.baseline = Baseline(None, "auc")

    def measure_baseline(self, on_setting: object) -> None:
        if self.error is not None:
            raise self.error

    def references(self, losses: object) -> Any:
        yield from ()


def search(observers: list[SearchObserver], error: BaseException | None = None) -> LossSearch:
    """Return a search of no rounds, which ends at once or with an error."""
    space = full_space(4)
    strategy, screening = RandomSearch(space, seeded()), Screening(space, Numerics(), seeded())
    return LossSearch(
        strategy=strategy,
        sampler=Sampler(strategy, screening, candidates=1, batch_size=8, limit=8),
        trials=Untrained(error),  # type: ignore[arg-type]
        numerics=Numerics(),
        references={},
        limits=SearchLimits(rounds=0),
        observers=observers,
    )


def test_every_event_is_passed_on_in_order() -> None:
    noting = [Noting(), Noting()]
    observers = SearchObservers(noting)
    observers.on_resume(None)  # type: ignore[arg-type]
    observers.on_setting(Setting(0.01, 0.0), 0.7)
    observers.on_baseline()
    observers.on_warm_up(1, {})
    observers.on_candidate(candidate())
    observers.on_round(round_summary(1, full_space(4)))
    observers.on_end()
    for each in noting:
        own = ["on_setting", "on_baseline", "on_warm_up", "on_candidate", "on_round"]
        assert each.events == ["on_resume", *own, "on_end"]


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_a_failing_observer_does_not_keep_the_others_from_their_end(error: BaseException) -> None:
    noting = [Noting(), Noting("on_end", error), Noting("on_end", ValueError("later")), Noting()]
    with pytest.raises(type(error)) as raised:
        search([*noting]).run()
    assert raised.value is error
    assert [each.events for each in noting] == [["on_baseline", "on_end"]] * 4


@pytest.mark.parametrize("error", [RuntimeError("no baseline"), KeyboardInterrupt()])
def test_the_error_that_ended_a_search_goes_before_those_of_observers(error: BaseException) -> None:
    noting = [Noting("on_end"), Noting()]
    with pytest.raises(type(error)) as raised:
        search([*noting], error).run()
    assert raised.value is error
    assert "OSError: no space" in "".join(raised.value.__notes__)
    assert [each.events for each in noting] == [["on_end"]] * 2


def test_an_observer_that_fails_during_a_search_ends_it_and_every_observer() -> None:
    failing = Noting("on_candidate")
    noting = [Noting(), failing, Noting()]
    running = search([*noting])
    with pytest.raises(OSError, match="no space"), running._ended_observers():
        running._add(candidate())
    assert [each.events for each in noting] == [["on_candidate", "on_end"]] * 2 + [["on_end"]]
