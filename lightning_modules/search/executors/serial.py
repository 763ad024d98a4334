"""Runs every call in this process, one after another."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lightning_modules.search.executors.base import ChildExecutor, Shared

T = TypeVar("T")


@dataclass(frozen=True)
class _Here(Shared[T], Generic[T]):
    value: T

    def get(self) -> T:
        return self.value


class SerialExecutor(ChildExecutor):
    """Runs a call while it is submitted; the future it returns is done."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Run the call and return its result or exception as a future.

        Raises:
            KeyboardInterrupt: And whatever else is no ``Exception``: it is meant for this process, not for the call.
        """
        future: Future[T] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # what a call raises is its result
            future.set_exception(error)
        return future

    def share(self, value: T) -> Shared[T]:
        """Return a handle to the value itself."""
        return _Here(value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: every call has run."""
