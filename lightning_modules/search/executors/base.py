"""What a search asks of whatever trains its children: futures, a number of slots, and values that travel once."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(ABC, Generic[T]):
    """A handle to a large value; it is small itself and may be an argument of any number of calls."""

    @abstractmethod
    def get(self) -> T:
        """Return the value; in a worker, the first call unpacks it and later ones return the same object."""


class ChildExecutor(Executor, ABC):
    """Runs calls somewhere, with the interface of ``concurrent.futures``.

    Attributes:
        slots: How many calls run at once; further ones wait.
        deaths: What a future raises when the process that ran its call died, as opposed to an exception of the call.
            The executor works again at the next ``submit``.
    """

    slots: int = 1
    deaths: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Run a call as soon as a slot is free, and return its future."""

    @abstractmethod
    def share(self, value: T) -> Shared[T]:
        """Put a large value where every worker can read it.

        The value is taken as it is now. It is there as long as the handle is, and nobody may change what ``get``
        returns.
        """

    @abstractmethod
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers after what was submitted, or at once with ``cancel_futures``: running calls are killed."""
