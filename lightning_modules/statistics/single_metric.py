"""Computes the metrics of many models on the same rows, or one of them where the others are not looked at."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

#: What a validation logs a model's metrics under, before their names.
VALIDATION = "val/"


def metric_name(monitor: str) -> str:
    """Return the name that a model's metrics have for one that is logged under ``monitor`` in validation."""
    return monitor.removeprefix(VALIDATION)


@runtime_checkable
class ComputesOfEach(Protocol):
    """Metrics that can be computed one at a time, of many models at once."""

    def compute_of_each(self, name: str, logits: Tensor, label: Tensor) -> Tensor | None:
        """Return one metric of every model; ``None`` where it costs no less than all of them, or there is none.

        Args:
            name: The metric.
            logits: Logits of every model, float [models, n].
            label: Labels of the rows, [n].
        """


def metrics_of_each(metrics: Any, name: str | None, logits: Tensor, label: Tensor) -> list[dict[str, float]]:
    """Return the metrics of every model by name, or one of them alone if that costs less.

    Args:
        metrics: Metrics whose ``compute`` returns them by name; what they have been fed is forgotten.
        name: The metric that is looked at; ``None`` for all.
        logits: Logits of every model, float [models, n].
        label: Labels of the rows, [n].
    """
    if name is not None and isinstance(metrics, ComputesOfEach):
        found = metrics.compute_of_each(name, logits, label)
        if found is not None:
            return [{name: value} for value in found.tolist()]
    return [_all_of(metrics, logit, label) for logit in logits]


def _all_of(metrics: Any, logit: Tensor, label: Tensor) -> dict[str, float]:
    metrics.reset()
    metrics.update(logit, label)
    return {name: float(value) for name, value in metrics.compute().items()}
