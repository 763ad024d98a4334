"""An executor that runs calls on a Ray cluster, and runs them again when their node is lost."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from lightning_modules.training.executors.base import Shared, TrainingExecutor
from lightning_modules.training.executors.ray_connection import connect, import_ray, room
from lightning_modules.training.executors.shared_memory import pack, unpack
from lightning_modules.training.executors.worker import become_worker


class RayCall:
    """Starts a task, and starts it again when its node was lost.

    Args:
        start_task: Starts the task and returns the reference of its result.
        starter: Runs later starts, since Ray's own threads, which report a loss, must not wait.
        losses: The errors of results that were lost with a node.
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
        # The future must not be cancelled alone, since the task would go on.
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
        except Exception as error:  # in the starter's thread it would be lost otherwise
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


T = TypeVar("T")


@dataclass(frozen=True)
class _Put(Shared[T], Generic[T]):
    reference: Any

    def get(self) -> T:
        value: T = _load(self.reference)
        return value


# A small cache, so that shared values of earlier rounds are freed.
@lru_cache(maxsize=4)
def _load(reference: Any) -> Any:
    return unpack(import_ray().get(reference))


class RayExecutor(TrainingExecutor):
    """Runs every call as a Ray task of one CPU.

    Shared values are objects of the driver: its node keeps them, and the workers of a node read them from one memory.
    That memory is read-only, but parameters and buffers of modules are copies. Ray hides all GPUs from calls that ask
    for no share of one.

    A call whose node is lost is run again elsewhere. One whose worker crashed is not: it fails with one of ``deaths``.

    Args:
        workers: Number of calls that run at once; 0 is as many as the nodes have CPUs and GPUs for.
        threads: CPU threads of torch in each of them; 0 leaves those that Ray sets, one for each CPU of a task.
        address: A cluster's address, or ``auto`` for the one this machine belongs to; empty starts a local one. If
            this program is connected to a cluster already, that one is used and stays connected.
        gpus_per_child: Share of a GPU, or number of GPUs, that a call needs.
        node_retries: How often a call is run again after its node was lost.

    Raises:
        ValueError: If Ray is not installed, a number cannot be used, no cluster answers or none of its nodes fits.
    """

    def __init__(
        self,
        workers: int = 0,
        threads: int = 1,
        *,
        address: str = "",
        gpus_per_child: float = 0.0,
        node_retries: int = 3,
    ) -> None:
        _check(workers, threads, gpus_per_child)
        self._ray = import_ray()
        errors = self._ray.exceptions
        self._losses = (errors.NodeDiedError, errors.ObjectLostError)
        self.deaths = (errors.WorkerCrashedError, errors.OutOfMemoryError, *self._losses)
        self._disconnect = connect(address, workers)
        slots = room(gpus_per_child)
        self.slots = workers or slots
        # Ray's own retries do not distinguish a crashed call from one whose node was lost.
        self._task = self._ray.remote(num_cpus=1, num_gpus=gpus_per_child, max_retries=0)(_run)
        self._threads = threads
        self._node_retries = node_retries
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start ray tasks")
        self._calls: set[RayCall] = set()
        self._open = True

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Run the call on the first node that has room for it.

        Raises:
            RuntimeError: If the executor was shut down.
        """
        if not self._open:
            raise RuntimeError("cannot submit a call after shutdown")
        start = partial(self._task.remote, self._threads, function, arguments, options)
        call = RayCall(start, self._starter, self._losses, self._node_retries)
        self._calls.add(call)
        call.future.add_done_callback(lambda _: self._calls.discard(call))
        call.start()
        return call.future

    def share(self, value: T) -> Shared[T]:
        """Put the value into Ray's object store."""
        return _Put(self._ray.put(pack(value)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the calls and leave the cluster; one that was started here ends."""
        if not self._open:
            return
        self._open = False
        calls = list(self._calls)
        if cancel_futures:
            for call in calls:
                call.cancel()
        if wait:
            # A killed call reports back soon, unless its node is lost, too.
            wait_for([call.future for call in calls], timeout=5.0 if cancel_futures else None)
        self._starter.shutdown(wait=False, cancel_futures=cancel_futures)
        if wait or cancel_futures:
            self._disconnect()


def _run(threads: int, function: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any]) -> T:
    become_worker(threads)
    return function(*arguments, **options)


def _check(workers: int, threads: int, gpus_per_child: float) -> None:
    if workers < 0 or threads < 0 or gpus_per_child < 0:
        raise ValueError(
            f"{workers} workers of {threads} threads and {gpus_per_child:g} GPUs: a number of them cannot be negative"
        )
    if gpus_per_child > 1 and gpus_per_child != int(gpus_per_child):
        raise ValueError(f"{gpus_per_child:g} GPUs for a child: Ray shares one GPU, but gives several only as a whole")
