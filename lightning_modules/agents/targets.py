"""Networks that follow others slowly, or stand still for a while."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from lightning_modules.agents.critics import Critics


@torch.no_grad()
def soft_update(pairs: Iterable[tuple[nn.Module, nn.Module]], tau: float) -> None:
    """Move the targets, the second of each pair, ``target <- (1 - tau) * target + tau * source``."""
    for source, target in pairs:
        for own, theirs in zip(target.parameters(), source.parameters(), strict=True):
            own.lerp_(theirs, tau)


@contextmanager
def frozen(critics: Critics) -> Iterator[None]:
    """Keep critics in evaluation mode and without gradients of their own, which an actor's update does not need."""
    before = critics.training
    trained = [parameter for parameter in critics.parameters() if parameter.requires_grad]
    critics.eval().requires_grad_(False)
    try:
        yield
    finally:
        critics.train(before)
        for parameter in trained:
            parameter.requires_grad_(True)
