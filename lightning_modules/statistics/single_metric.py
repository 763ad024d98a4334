"""Computes one of the metrics of a collection where the others are not looked at."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ComputesOne(Protocol):
    """Metrics that can be computed one at a time."""

    def compute_one(self, name: str) -> Tensor | None:
        """Return one metric; ``None`` where it costs no less than all of them, or there is none of that name."""


def metrics_of(metrics: Any, name: str | None) -> dict[str, Tensor]:
    """Return the metrics by name, or one of them alone if that costs less.

    Args:
        metrics: Metrics whose ``compute`` returns them by name.
        name: The metric that is looked at; ``None`` for all.
    """
    one = metrics.compute_one(name) if name is not None and isinstance(metrics, ComputesOne) else None
    computed: dict[str, Tensor] = metrics.compute() if one is None or name is None else {name: one}
    return computed
