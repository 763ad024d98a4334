"""Every listwise loss of the project: what it is to compute, and batches of scores."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from lightning_modules import losses
from lightning_modules.losses import ListwiseLoss, ScoredBatch
from tests.losses.loss_cases import defined

NUM_USERS, NUM_ITEMS = 6, 30
#: Users and items of training rows; user 4 has none.
TRAINING = (torch.tensor([0, 0, 1, 2, 2, 2, 3, 5]), torch.tensor([3, 7, 3, 0, 29, 11, 5, 8]))


@dataclass(frozen=True)
class Sample:
    """A batch of scores in numpy, with the importance weight of every negative."""

    positive: np.ndarray
    negative: np.ndarray
    weight: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Return ``s_j - s+``."""
        return self.negative - self.positive[:, None]

    def mean(self, terms: np.ndarray) -> np.ndarray:
        """Return the weighted mean of terms over the negatives."""
        return (self.weight * terms).mean(1)


@dataclass(frozen=True)
class ListwiseCase:
    """A listwise loss and its definition in numpy.

    Attributes:
        loss: The loss.
        reference: What it is to compute.
        ignores_shift: Whether adding one number to all scores of a row changes nothing.
    """

    loss: ListwiseLoss
    reference: Callable[[Sample], np.ndarray]
    ignores_shift: bool = True


def _softmax(temperature: float) -> Callable[[Sample], np.ndarray]:
    return lambda s: np.log((s.weight * np.exp(s.difference / temperature)).sum(1))


LISTWISE = [
    ListwiseCase(losses.SampledBPR(), lambda s: s.mean(np.log1p(np.exp(s.difference)))),
    ListwiseCase(losses.SampledBPR(0.2), lambda s: s.mean(np.log1p(np.exp(s.difference / 0.2)))),
    ListwiseCase(losses.SampledSoftmax(), _softmax(0.1)),
    ListwiseCase(losses.SampledSoftmax(temperature=0.5), _softmax(0.5)),
    ListwiseCase(losses.SampledSoftmax(0.2, True), lambda s: np.log1p(np.exp(_softmax(0.2)(s)))),
]


def offered_listwise() -> set[type]:
    """Return every concrete listwise loss that a module of the package defines."""
    return {kind for kind in defined() if issubclass(kind, ListwiseLoss) and not inspect.isabstract(kind)}


def scored(
    count: int = 5, negatives: int = 4, log_q: str = "none", dtype: torch.dtype = torch.double, seed: int = 0
) -> ScoredBatch:
    """Return a batch of cosines; ``log_q`` says whether it is ``none``, ``shared`` by the rows or of ``each`` row."""
    generator = torch.Generator().manual_seed(seed)
    user = torch.arange(count) * 2 % NUM_USERS
    vectors = torch.nn.functional.normalize(torch.randn(2, count, 3, generator=generator, dtype=torch.double), dim=2)
    negative = 2 * torch.rand(count, negatives, generator=generator, dtype=torch.double) - 1
    shape = {"none": (0,), "shared": (negatives,), "each": (count, negatives)}[log_q]
    return ScoredBatch(
        user=user,
        item=torch.arange(count) % NUM_ITEMS,
        positive=vectors.prod(0).sum(1).to(dtype),
        negative=negative.to(dtype),
        log_q=torch.rand(shape, generator=generator, dtype=torch.double).log().to(dtype),
        user_vector=vectors[0].to(dtype),
        item_vector=vectors[1].to(dtype),
    )


def sample_of(batch: ScoredBatch) -> Sample:
    """Return a batch in numpy."""
    log_q = batch.log_q.numpy() if batch.log_q.numel() else np.zeros(batch.negative.shape)
    log_weight = -log_q - logsumexp(-log_q, axis=-1, keepdims=True) + np.log(log_q.shape[-1])
    weight = np.broadcast_to(np.exp(log_weight), batch.negative.shape)
    return Sample(batch.positive.numpy(), batch.negative.numpy(), weight)


def catalogue(user: Tensor) -> Tensor:
    """Return the scores of users with all items."""
    table = torch.rand(NUM_USERS, NUM_ITEMS, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    return 2 * table[user] - 1


def prepared(loss: ListwiseLoss, **changes: Any) -> ListwiseLoss:
    """Return the loss as it is in the first epoch of a training, perhaps with other arguments."""
    ready = type(loss)(**(loss.init_args() | changes)) if changes else copy.deepcopy(loss)
    ready.prepare(*TRAINING, NUM_USERS, NUM_ITEMS)
    ready.start_epoch(0, catalogue, torch.Generator().manual_seed(1))
    # Some losses go on learning of the users in every step of a training.
    return ready.eval()
