"""Class balancing: weights by which rare labels count as much as frequent ones."""

import torch
from torch import Tensor


def class_balancing_weights(label: Tensor) -> Tensor:
    """Return the weight of every row and task: one over its label's share of the batch, scaled to a mean of 1.

    The rows of either label thereby weigh as much together as those of the other; where all rows have one label, all
    weights are 1. RMTL calls the weights inverse propensities.

    Args:
        label: 0 or 1, float [n, tasks].

    Returns:
        Float [n, tasks].
    """
    rate = label.mean(dim=0)
    weight = torch.where(label > 0.5, 1 / rate, 1 / (1 - rate))
    return weight / weight.mean(dim=0)
