"""Observers are told of every event, and each is ended once however a comparison ends."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.events import CompareObserver, CompareObservers
from lightning_modules.compare.protocol import EffectivenessTest, Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.training.tuning import Setting
from tests.compare.compare_helpers import StubTraining, compared, trained

PLAN = Plan.of([0.001, 0.1], [0.0], [1, 2], 1)


class Failing(CompareObserver):
    """Notes its events, and fails in one of them."""

    def __init__(self, event: str = "") -> None:
        self.event = event
        self.told: list[str] = []

    def _note(self, event: str) -> None:
        self.told.append(event)
        if event == self.event:
            raise OSError(f"{event} failed")

    def on_start(self) -> None:
        self._note("on_start")

    def on_loss(self, compared: ComparedLoss) -> None:
        self._note("on_loss")

    def on_setting(self, compared: ComparedLoss, setting: Setting) -> None:
        self._note("on_setting")

    def on_seed(self, compared: ComparedLoss, seed: int) -> None:
        self._note("on_seed")

    def on_trained(self, compared: ComparedLoss, *, known: bool = False) -> None:
        self._note("on_trained")

    def on_result(self, compared: ComparedLoss, *_: object) -> None:
        self._note("on_result")

    def on_end(self) -> None:
        self._note("on_end")


def run(root: Path, observers: Sequence[CompareObserver], training: StubTraining | None = None) -> None:
    training = training or StubTraining(lambda title, seed, setting: trained(0.7 + setting.learning_rate))
    told = CompareObservers(observers)
    with told.watching():
        _ = [*EffectivenessTest(training, PLAN, ComparisonRecords(root), told).run([compared()])]


def test_every_observer_is_told_of_every_event_in_order(tmp_path: Path) -> None:
    observers = [Failing(), Failing()]
    run(tmp_path, observers)
    tuning, tested = ["on_setting", "on_trained"] * 2, ["on_seed", "on_result", "on_seed", "on_result", "on_trained"]
    for observer in observers:
        assert observer.told == ["on_start", "on_loss", *tuning, *tested, "on_end"]


@pytest.mark.parametrize("event", ["on_start", "on_loss", "on_setting", "on_trained", "on_seed", "on_result", "on_end"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_failing_observer_fails_the_comparison_and_every_observer_ends_once(
    event: str, place: int, tmp_path: Path
) -> None:
    observers = [Failing(event if number == place else "") for number in range(3)]
    with pytest.raises(OSError, match=f"{event} failed"):
        run(tmp_path, observers)
    assert [observer.told.count("on_end") for observer in observers] == [1, 1, 1]
    assert [observer.told[-1] for observer in observers] == ["on_end"] * 3


def test_an_interrupt_ends_every_observer_once(tmp_path: Path) -> None:
    observers = [Failing(), Failing()]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, observers, StubTraining(lambda *_: trained(0.7), breaks_at=2))
    assert [observer.told.count("on_end") for observer in observers] == [1, 1]
