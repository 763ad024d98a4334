"""One call on a Ray cluster, however many nodes are lost on the way."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from lightning_modules.search.executors.ray_connection import import_ray


class RayCall:
    """Starts a task, and starts it again when its node was lost.

    Args:
        start_task: Starts the task and returns the reference of its result.
        starter: Runs later starts, since Ray's own threads, which tell of a loss, must not wait.
        losses: What a result is when it was lost with a node.
        retries: How often to start again.

    Attributes:
        future: Gets the result or the function's own exception.
    """

    def __init__(
        self,
        start_task: Callable[[], Any],
        starter: Executor,
        losses: tuple[type[BaseException], ...],
        retries: int,
    ) -> None:
        self.future: Future[Any] = Future()
        # It cannot be cancelled by itself: the task would go on.
        self.future.set_running_or_notify_cancel()
        self._start_task = start_task
        self._starter = starter
        self._losses = losses
        self._retries = retries
        self._reference: Any = None

    def start(self) -> None:
        """Start the task."""
        try:
            self._reference = self._start_task()
            self._reference.future().add_done_callback(self._on_end)
        except Exception as error:  # in the starter's thread nobody else would hear of it
            self.future.set_exception(error)

    def cancel(self) -> None:
        """Kill the task."""
        self._retries = 0
        import_ray().cancel(self._reference, force=True)

    def _on_end(self, attempt: "Future[Any]") -> None:
        error = attempt.exception()
        if error is None:
            self.future.set_result(attempt.result())
        elif isinstance(error, self._losses) and self._retries:
            self._retries -= 1
            self._starter.submit(self.start)
        else:
            # Ray wraps what a function raises.
            self.future.set_exception(getattr(error, "cause", None) or error)
