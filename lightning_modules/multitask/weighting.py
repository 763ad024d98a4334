"""Task weighting: how the losses of several tasks become the one that is minimised."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_modules.utilities.processes import mean_over_processes
from lightning_modules.utilities.serialization import Described


class TaskWeighting(Described, nn.Module, ABC):
    """Turns the mean losses of the tasks into one scalar to minimise: the mean over the tasks of weighted losses.

    A model calls :meth:`setup` once when it is built, the weighting itself in every training step and
    :meth:`on_epoch_end` after every epoch. A weighting keeps its constructor's arguments as attributes of the same
    names, and whatever it learns in parameters or buffers, which thereby are in the model's optimizer and checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()

    def setup(self, num_tasks: int) -> None:
        """Take in how many tasks there are; called once.

        Raises:
            ValueError: If the weighting does not fit that number.
        """

    @abstractmethod
    def forward(self, task_losses: Tensor) -> Tensor:
        """Return the scalar to minimise; ``task_losses`` are the mean losses of the batch, of shape [tasks]."""

    def on_epoch_end(self, mean_losses: Tensor) -> None:
        """Take in the mean losses of the epoch that ended, detached, of shape [tasks]."""


class ConstantWeights(TaskWeighting):
    """Mean over the tasks of ``weight * loss``.

    Args:
        weights: One weight a task, >= 0; None weighs all by 1.

    Raises:
        ValueError: If a weight is negative or all are 0; in ``setup``, if their number is not that of the tasks.
    """

    _weights: Tensor

    def __init__(self, weights: list[float] | None = None) -> None:
        super().__init__()
        if weights is not None and (not all(weight >= 0 for weight in weights) or not any(weights)):
            raise ValueError(f"task weights must be >= 0 and not all of them 0, got {weights}")
        self.weights = weights

    def setup(self, num_tasks: int) -> None:
        """Check that there is a weight for every task."""
        weights = [1.0] * num_tasks if self.weights is None else self.weights
        if len(weights) != num_tasks:
            raise ValueError(f"there are {len(weights)} task weights and {num_tasks} tasks; give one weight a task")
        self.register_buffer("_weights", torch.tensor(weights), persistent=False)

    def forward(self, task_losses: Tensor) -> Tensor:
        """Return the weighted mean."""
        return (self._weights * task_losses).mean()


class UncertaintyWeighting(TaskWeighting):
    """Mean over the tasks of ``exp(-s) * loss + s / 2``, with a learned log-variance ``s`` a task that begins at 0.

    Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics,
    CVPR 2018, https://arxiv.org/abs/1705.07115, in its form for classification; the paper has the sum over the tasks.
    The optimizer's weight decay pulls the log-variances towards 0.
    """

    log_variance: nn.Parameter

    def setup(self, num_tasks: int) -> None:
        """Make the log-variances."""
        self.log_variance = nn.Parameter(torch.zeros(num_tasks))

    def forward(self, task_losses: Tensor) -> Tensor:
        """Return the mean; its gradient also moves the log-variances."""
        return (torch.exp(-self.log_variance) * task_losses + self.log_variance / 2).mean()


class DynamicWeightAveraging(TaskWeighting):
    """Mean over the tasks of ``weight * loss``, where tasks whose loss falls more slowly weigh more.

    With the epoch's mean loss ``L(t)`` of a task, ``r = L(t-1) / L(t-2)`` and ``weight = tasks * softmax(r /
    temperature)``; in the first two epochs all weights are 1. Liu, Johns and Davison, End-to-End Multi-Task Learning
    with Attention, CVPR 2019, https://arxiv.org/abs/1803.10704; the paper has the sum over the tasks. Epochs whose
    losses are not finite and positive, for which there is no such ratio, set the weights to 1.

    Args:
        temperature: How even the weights are, > 0.

    Raises:
        ValueError: If the temperature is not above 0.
    """

    weights: Tensor
    last_losses: Tensor

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        self.temperature = temperature

    def setup(self, num_tasks: int) -> None:
        """Begin with equal weights."""
        self.register_buffer("weights", torch.ones(num_tasks))
        self.register_buffer("last_losses", torch.full((num_tasks,), torch.nan))

    def forward(self, task_losses: Tensor) -> Tensor:
        """Return the weighted mean."""
        return (self.weights * task_losses).mean()

    def on_epoch_end(self, mean_losses: Tensor) -> None:
        """Weigh by how the losses changed since the epoch before, the same in all processes."""
        losses = mean_over_processes(mean_losses.detach().to(self.weights))
        ratio = losses / self.last_losses
        weights = len(losses) * torch.softmax(ratio / self.temperature, dim=0)
        usable = (ratio.isfinite() & (ratio > 0)).all()
        self.weights.copy_(torch.where(usable, weights, torch.ones_like(weights)))
        self.last_losses.copy_(losses)
