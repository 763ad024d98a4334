"""Times the calls of methods from outside."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock


class Span(NamedTuple):
    """When a call began and how many seconds it took."""

    begin: float
    seconds: float


@contextmanager
def timed(*methods: tuple[type, str], clock: Callable[[], float] = time.perf_counter) -> Iterator[list[list[Span]]]:
    """Time all calls of methods of classes by a clock in seconds; yield a list of spans for each, which grows."""
    spans: list[list[Span]] = [[] for _ in methods]
    with ExitStack() as stack:
        for (owner, name), calls in zip(methods, spans, strict=True):
            stack.enter_context(mock.patch.object(owner, name, _timed(getattr(owner, name), calls, clock)))
        yield spans


def inside(calls: Sequence[Span], whole: Span) -> list[Span]:
    """Return the calls that began within a span."""
    return [call for call in calls if whole.begin <= call.begin < whole.begin + whole.seconds]


def total(calls: Sequence[Span]) -> float:
    """Return the seconds of all calls together."""
    return sum(call.seconds for call in calls)


def _timed(method: Callable[..., Any], calls: list[Span], clock: Callable[[], float]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        begin = clock()
        try:
            return method(*arguments, **options)
        finally:
            calls.append(Span(begin, clock() - begin))

    return call
