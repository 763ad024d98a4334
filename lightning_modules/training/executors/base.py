"""The interface of executors, which train models, and the executor of this process."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lightning_modules.utilities.processes import torch_threads

T = TypeVar("T")


class Shared(ABC, Generic[T]):
    """A small handle to a large value, which may be an argument of any number of calls."""

    @abstractmethod
    def get(self) -> T:
        """Return the value; in a worker, the first call unpacks it and later ones return the same object."""


class TrainingExecutor(Executor, ABC):
    """Runs calls, with the interface of ``concurrent.futures``.

    Attributes:
        slots: Number of calls that run at once; further ones wait.
        deaths: The exceptions of a future whose process died, as opposed to an exception of the call. The executor
            works again at the next ``submit``.
    """

    slots: int = 1
    deaths: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Run a call as soon as a slot is free, and return its future."""

    @abstractmethod
    def share(self, value: T) -> Shared[T]:
        """Put a large value where every worker can read it.

        The value is copied as it is now, and kept as long as the handle lives. What ``get`` returns is read-only.
        """

    @abstractmethod
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers after all submitted calls, or at once with ``cancel_futures``, which kills running calls."""


Result = TypeVar("Result")


@dataclass(frozen=True)
class _Here(Shared[Result], Generic[Result]):
    value: Result

    def get(self) -> Result:
        return self.value


class SerialExecutor(TrainingExecutor):
    """Runs a call while it is submitted; the future it returns is done.

    Args:
        threads: CPU threads of torch in a call; 0 leaves them as they are.
    """

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads

    def submit(self, function: Callable[..., Result], /, *arguments: Any, **options: Any) -> "Future[Result]":
        """Run the call and return its result or exception as a future.

        Raises:
            KeyboardInterrupt: And everything else that is no ``Exception``, since it concerns the whole process.
        """
        future: Future[Result] = Future()
        try:
            with torch_threads(self._threads):
                future.set_result(function(*arguments, **options))
        except Exception as error:  # an exception of the call is its result
            future.set_exception(error)
        return future

    def share(self, value: Result) -> Shared[Result]:
        """Return a handle to the value itself."""
        return _Here(value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: every call has run."""
