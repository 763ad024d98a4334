"""A descent direction from the gradients of several tasks, for models in automatic optimization."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lightning_modules.multitask.weighting import TaskWeighting
from lightning_modules.utilities.precision import at_least_single
from lightning_modules.utilities.processes import mean_over_processes


class GradientAggregation(TaskWeighting):
    """Combines the tasks' gradients of what they share by an aggregator of the library torchjd.

    For example UPGrad (Quinton and Rey 2024, https://arxiv.org/abs/2406.16232), PCGrad (Yu et al., NeurIPS 2020,
    https://arxiv.org/abs/2001.06782), CAGrad (Liu et al., NeurIPS 2021, https://arxiv.org/abs/2110.14048) or MGDA
    (Sener and Koltun, NeurIPS 2018, https://arxiv.org/abs/1810.04650).

    The value is the mean of the task losses. Its gradient, as ``backward`` and so automatic optimization sees it, is
    for parameters that more than one task depends on what the aggregator makes of the tasks' gradients, and for all
    others that of the mean. The aggregator "Mean" therefore trains exactly as constant weights do. A step costs one
    backward pass a task, and memory for all gradients of each task.

    Under DDP the tasks' gradients are averaged over the processes before they are aggregated, as if one process had
    all rows; aggregators that draw random numbers draw their own in every process, and DDP averages what they give.
    Strategies that shard parameters (FSDP, DeepSpeed) are not supported, and with a loss scaler ("16-mixed") the
    tasks' gradients are taken unscaled: use "bf16-mixed". In any precision gradients are aggregated in single precision
    at least. Random aggregators draw from torch's global generator, which ``seed_everything`` seeds; averages that an
    aggregator keeps begin anew when a training is resumed.

    Args:
        aggregator: Name of a class of ``torchjd.aggregation``.
        options: Its arguments, for example ``{"c": 0.5}`` for CAGrad; lists become tensors.

    Raises:
        ValueError: If torchjd or what the aggregator needs beside it is not installed, there is no such aggregator,
            or the options do not fit it.
    """

    def __init__(self, aggregator: str = "UPGrad", options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.aggregator = aggregator
        self.options = options
        self._class = _aggregator_class(aggregator)

    def setup(self, num_tasks: int) -> None:
        """Build the aggregator, which is told the number of tasks if it wants to know."""
        given = self.options or {}
        options = {name: torch.tensor(value) if isinstance(value, list) else value for name, value in given.items()}
        if "n_tasks" in inspect.signature(self._class).parameters:
            options.setdefault("n_tasks", num_tasks)
        # In a tuple, where its lazily made buffers stay out of the checkpoint, which would not load with them.
        self._built = (_build(self._class, options),)

    def forward(self, task_losses: Tensor) -> Tensor:
        """Return the mean of the losses, with the aggregated gradient."""
        if not task_losses.requires_grad:
            return task_losses.mean()
        parameters = _leaves(task_losses)
        # A step of mixed precision goes backward outside autocast too; aggregators solve systems of equations.
        with torch.autocast(task_losses.device.type, enabled=False):
            jacobian = torch.stack([_gradient(loss, parameters) for loss in task_losses.unbind()])
            gradient = self._aggregated(mean_over_processes(jacobian), parameters)
        parts = gradient.split([parameter.numel() for parameter in parameters])
        gradients = [part.view_as(like).to(like) for part, like in zip(parts, parameters, strict=True)]
        tensors = [*gradients, *parameters]
        # torch gives `apply` no types.
        mean: Tensor = _WithGradient.apply(task_losses.detach().mean(), len(parameters), *tensors)  # type: ignore[no-untyped-call]
        return mean

    def _aggregated(self, jacobian: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        shared = _shared(jacobian, parameters)
        mean = jacobian.mean(0)
        if not shared.any():
            return mean
        (aggregator,) = self._built
        return torch.where(shared, aggregator.to(jacobian.device)(jacobian * shared), mean)


class _WithGradient(torch.autograd.Function):
    """A value whose gradients by some parameters are given: ``apply(value, count, *gradients, *parameters)``."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[:count])
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *factors: Tensor) -> tuple[Tensor | None, ...]:
        (factor,) = factors
        gradients = [factor * gradient for gradient in ctx.saved_tensors]
        return (None, None, *[None] * len(gradients), *gradients)


def _leaves(value: Tensor) -> list[Tensor]:
    """Return the parameters that a value was computed from, in an order that depends on the computation alone."""
    found: dict[Tensor, None] = {}
    seen, waiting = set(), [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[node.variable] = None
        waiting.extend(following for following, _ in node.next_functions)
    return list(found)


def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the gradient of a loss by all parameters, one behind the other, in single precision at least."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return at_least_single(torch.cat([gradient.flatten() for gradient in gradients]))


def _shared(jacobian: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return which columns belong to an entry of a parameter's first dimension with gradients of several tasks.

    By entries, because a parameter may hold the layers of several tasks, one entry each.
    """
    masks = []
    for columns, parameter in zip(jacobian.split([each.numel() for each in parameters], 1), parameters, strict=True):
        entries = columns.reshape(len(jacobian), len(parameter) if parameter.ndim else 1, -1)
        masks.append((entries.any(2).sum(0) > 1).repeat_interleave(entries.shape[2]))
    return torch.cat(masks)


def _aggregator_class(name: str) -> type[nn.Module]:
    try:
        package = importlib.import_module("torchjd.aggregation")
    except ImportError as error:
        raise ValueError(
            "GradientAggregation needs the library torchjd, which is not installed; "
            "run pip install -e '.[torchjd]', or choose another weighting"
        ) from error
    known = {each: getattr(package, each) for each in package.__all__}
    aggregators = {each: cls for each, cls in known.items() if issubclass(cls, package.Aggregator)}
    for abstract in ("Aggregator", "GramianWeightedAggregator", "WeightedAggregator"):
        aggregators.pop(abstract, None)
    if name not in aggregators:
        raise ValueError(f"torchjd has no aggregator '{name}'; choose one of {', '.join(sorted(aggregators))}")
    chosen: type[nn.Module] = aggregators[name]
    return chosen


def _build(cls: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    try:
        return cls(**options)
    except ImportError as error:
        raise ValueError(f"{cls.__name__} needs libraries that are not installed: {error}") from error
    except TypeError as error:
        raise ValueError(f"the options {options} do not fit {cls.__name__}{inspect.signature(cls)}: {error}") from error
