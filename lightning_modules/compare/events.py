"""The events of a comparison, and how its observers are told of them; those of several losses may mix."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.tuning import Setting


class CompareObserver:
    """Base of all observers of a comparison; each event does nothing unless overridden."""

    def on_start(self) -> None:
        """Called once, before the first loss."""

    def on_loss(self, compared: ComparedLoss) -> None:
        """Called before a loss is tuned."""

    def on_setting(self, compared: ComparedLoss, setting: Setting) -> None:
        """Called before a setting is tried."""

    def on_seed(self, compared: ComparedLoss, seed: int) -> None:
        """Called before a seed is trained with the chosen setting."""

    def on_trained(self, compared: ComparedLoss, *, known: bool = False) -> None:
        """Called after every training, and for each that was done before, which is known."""

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:
        """Called with every new row of ``results.csv``."""

    def on_end(self) -> None:
        """Called exactly once, however the trainings ended."""


class CompareObservers(CompareObserver):
    """Passes every event to several observers, in their order.

    An observer that raises an error ends the comparison; every observer's ``on_end`` is called all the same.

    Args:
        observers: The observers.
    """

    def __init__(self, observers: Sequence[CompareObserver] = ()) -> None:
        self.observers = tuple(observers)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Start the observers, and end each of them once, even if another one or a training fails."""
        with ExitStack() as ends:
            for observer in reversed(self.observers):
                ends.callback(observer.on_end)
            for observer in self.observers:
                observer.on_start()
            yield

    def on_loss(self, compared: ComparedLoss) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_loss(compared)

    def on_setting(self, compared: ComparedLoss, setting: Setting) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_setting(compared, setting)

    def on_seed(self, compared: ComparedLoss, seed: int) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_seed(compared, seed)

    def on_trained(self, compared: ComparedLoss, *, known: bool = False) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_trained(compared, known=known)

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:
        """Pass the event on."""
        for observer in self.observers:
            observer.on_result(compared, row, run)
