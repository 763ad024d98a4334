"""Every loss of the project: what it is to compute, and how all of them are asked for values."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import expit, log_expit
from torch import Tensor, nn

import lightning_modules
from lightning_modules import losses
from lightning_modules.agents import CriticWeightedLoss
from lightning_modules.losses import FormulaLoss, InversePropensity, ListwiseLoss, Loss
from lightning_modules.utilities.serialization import Described
from tests.multitask.multitask_helpers import planted

S = 1e-6
#: A stored agent, in the folder in which the tests of rows run.
AGENT = "agent.ckpt"


@dataclass(frozen=True)
class Case:
    """A loss of a prediction and its label, and its definition in numpy."""

    loss: Loss
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _focal(gamma: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda z, y: np.where(y == 1, -(expit(-z) ** gamma) * log_expit(z), -(expit(z) ** gamma) * log_expit(-z))


def _smoothed(s: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    share = {1: 1 - s / 2, 0: s / 2}
    return lambda z, y: (
        -np.where(y == 1, share[1], share[0]) * log_expit(z) - np.where(y == 1, share[0], share[1]) * log_expit(-z)
    )


def _log_min(s: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda p, y: np.log(1 / (np.minimum(y, p) + s) + s) * (np.minimum(y, p) + y + p)


CASES = [
    Case(losses.BCE(), lambda z, y: -y * log_expit(z) - (1 - y) * log_expit(-z)),
    Case(losses.MSE(), lambda p, y: (y - p) ** 2),
    Case(losses.Hinge(), lambda z, y: np.maximum(0, 1 - np.where(y == 1, 1, -1) * z)),
    Case(losses.Hinge(margin=0.5), lambda z, y: np.maximum(0, 0.5 - np.where(y == 1, 1, -1) * z)),
    Case(losses.Focal(), _focal(2.0)),
    Case(losses.Focal(gamma=0.5), _focal(0.5)),
    Case(losses.LabelSmoothing(), _smoothed(0.1)),
    Case(losses.LabelSmoothing(smoothing=0.4), _smoothed(0.4)),
    Case(losses.MaxR(), lambda p, y: np.maximum((y + S) / (p + S), (p + S) / (y + S))),
    Case(losses.MaxR(smoothing=0.1), lambda p, y: np.maximum((y + 0.1) / (p + 0.1), (p + 0.1) / (y + 0.1))),
    Case(losses.SumR(), lambda p, y: (y + p + S) / (y * p + S)),
    Case(losses.SumR(smoothing=0.1), lambda p, y: (y + p + 0.1) / (y * p + 0.1)),
    Case(losses.LogMin(), _log_min(S)),
    Case(losses.LogMin(smoothing=0.1), _log_min(0.1)),
    Case(losses.BPR(), lambda d, y: -log_expit(np.where(y == 1, d, -d))),
    Case(losses.RankNetLoss(), lambda d, y: -y * d + np.logaddexp(0, d)),
    Case(losses.ScaledLoss(losses.MSE(), 2.5), lambda p, y: 2.5 * (y - p) ** 2),
    Case(losses.ScaledLoss(losses.Hinge(), 0.3), lambda z, y: 0.3 * np.maximum(0, 1 - np.where(y == 1, 1, -1) * z)),
    Case(FormulaLoss("-label * log(pred)"), lambda p, y: -y * np.log(p + S)),
    Case(FormulaLoss("(label - pred)**2", "autolossgen"), lambda p, y: np.maximum((y + 1e-5) ** 2, 1e-5)),
]

#: Losses that a prediction and its label do not determine: they look at other tasks or at the row's features.
LOSSES_OF_ROWS: list[Any] = [
    CriticWeightedLoss(AGENT),
    CriticWeightedLoss(AGENT, FormulaLoss("-label * log(pred)"), 0.7, "one_minus_q"),
    CriticWeightedLoss(AGENT, losses.MSE(), variant="minus_q"),
    InversePropensity(),
    InversePropensity(weight=0.5, max_weight=3.0, loss=losses.MSE()),
]
ALL: list[Any] = [case.loss for case in CASES] + LOSSES_OF_ROWS


def offered() -> set[type]:
    """Return every concrete loss, but for listwise ones, that a module of the package defines, wherever it is."""
    found = defined()
    in_losses = {kind for kind in found if issubclass(kind, nn.Module) and kind.__module__.split(".")[1] == "losses"}
    return {
        kind
        for kind in {each for each in found if issubclass(each, Loss)} | in_losses
        if not inspect.isabstract(kind) and not issubclass(kind, ListwiseLoss)
    }


def defined() -> set[type]:
    """Return every class that a module of the package defines."""
    found: set[type] = set()
    for module in pkgutil.walk_packages(lightning_modules.__path__, "lightning_modules."):
        members = vars(importlib.import_module(module.name)).values()
        found.update(kind for kind in members if isinstance(kind, type) and kind.__module__ == module.name)
    return found


def drawn(loss: Loss, count: int = 40, dtype: torch.dtype = torch.double) -> tuple[Tensor, Tensor]:
    """Return predictions of the kind that the loss wants, and labels."""
    generator = torch.Generator().manual_seed(7)
    logit = 3 * torch.randn(count, generator=generator, dtype=torch.double)
    label = torch.randint(0, 2, (count,), generator=generator)
    prediction = torch.sigmoid(logit) if loss.wants == "probability" else logit
    return prediction.to(dtype), label.to(dtype)


def rows(count: int = 64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logits and labels of two tasks, and the features of the rows."""
    batch = planted(count)
    logit = 2 * torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
    return logit, batch.label, batch.categorical, batch.numerical


def values_of_rows(loss: Described, logit: Tensor, label: Tensor, *features: Tensor) -> Tensor:
    """Return the loss of every row and task; what is no loss of its own, but a term beside one, takes no features."""
    return loss.of_rows(logit, label, *features) if isinstance(loss, Loss) else loss(logit, label)  # type: ignore[operator]


def title(loss: Any) -> str:
    """Return a name for a test's parameter."""
    return type(loss).__name__
