"""Every listwise loss of the project: what it is to compute, and batches of scores."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import pdist
from scipy.special import expit, logsumexp
from torch import Tensor

from lightning_modules import losses
from lightning_modules.losses import ListwiseLoss, ScoredBatch
from lightning_modules.losses.quantile_loss import QuantileLoss
from tests.losses.loss_cases import defined

NUM_USERS, NUM_ITEMS = 6, 30
#: Users and items of training rows; user 4 has none.
TRAINING = (torch.tensor([0, 0, 1, 2, 2, 2, 3, 5]), torch.tensor([3, 7, 3, 0, 29, 11, 5, 8]))


@dataclass(frozen=True)
class Sample:
    """A batch of scores in numpy, with the importance weight of every negative and the quantile of every row's user."""

    user: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    weight: np.ndarray
    user_vector: np.ndarray
    item_vector: np.ndarray
    quantile: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Return ``s_j - s+``."""
        return self.negative - self.positive[:, None]

    def mean(self, terms: np.ndarray) -> np.ndarray:
        """Return the weighted mean of terms over the negatives."""
        return (self.weight * terms).mean(1)

    def log_sum(self, terms: np.ndarray) -> np.ndarray:
        """Return the logarithm of the weighted sum of terms over the negatives."""
        return np.log((self.weight * terms).sum(1))


Reference = Callable[[Sample], np.ndarray]


@dataclass(frozen=True)
class ListwiseCase:
    """A listwise loss and its definition in numpy.

    Attributes:
        loss: The loss.
        reference: What it is to compute.
        ignores_shift: Whether adding one number to all scores of a row changes nothing.
    """

    loss: ListwiseLoss
    reference: Reference
    ignores_shift: bool = True


def _softmax(temperature: float) -> Reference:
    return lambda s: s.log_sum(np.exp(s.difference / temperature))


def _bsl(t: float, t1: float, weight: float) -> Reference:
    return lambda s: -s.positive / t1 + weight * s.log_sum(np.exp(s.negative / t))


def _pooled_bsl(s: Sample) -> np.ndarray:
    powers = np.exp(s.positive / 0.3)
    pooled = np.array([powers[s.user == user].mean() for user in s.user])
    return s.log_sum(np.exp(s.negative / 0.3)) * 1.1 - np.log(pooled)


def _psl(sigma: Callable[[np.ndarray], np.ndarray], temperature: float, scale: float = 0.5) -> Reference:
    return lambda s: s.log_sum(sigma(scale * s.difference) ** (1 / temperature))


def _weighted_softmax(s: Sample) -> np.ndarray:
    return expit((s.positive - s.quantile) / 2.0) * _softmax(0.1)(s)


def _talos(temperature: float) -> Reference:
    def value(s: Sample) -> np.ndarray:
        negative = expit(s.negative - s.quantile[:, None]) ** (1 / temperature)
        return s.log_sum(negative) - np.log(expit(s.positive - s.quantile)) / temperature

    return value


def _direct_au(gamma: float) -> Reference:
    def uniformity(vector: np.ndarray) -> float:
        return float(np.log(np.mean(np.exp(-2 * pdist(vector) ** 2))))

    def value(s: Sample) -> np.ndarray:
        alignment = ((s.user_vector - s.item_vector) ** 2).sum(1)
        return alignment + gamma * (uniformity(s.user_vector) + uniformity(s.item_vector)) / 2

    return value


LISTWISE = [
    ListwiseCase(losses.SampledBPR(), lambda s: s.mean(np.log1p(np.exp(s.difference)))),
    ListwiseCase(losses.SampledBPR(0.2), lambda s: s.mean(np.log1p(np.exp(s.difference / 0.2)))),
    ListwiseCase(
        losses.SampledBCE(),
        lambda s: np.log1p(np.exp(-s.positive)) + 4 * s.mean(np.log1p(np.exp(s.negative))),
        ignores_shift=False,
    ),
    ListwiseCase(
        losses.SampledBCE(0.2, True),
        lambda s: np.log1p(np.exp(-s.positive / 0.2)) + s.mean(np.log1p(np.exp(s.negative / 0.2))),
        ignores_shift=False,
    ),
    ListwiseCase(
        losses.CCL(), lambda s: 1 - s.positive + 150 * s.mean(np.maximum(0, s.negative - 0.9)), ignores_shift=False
    ),
    ListwiseCase(
        losses.CCL(-0.2, 5.0),
        lambda s: 1 - s.positive + 5 * s.mean(np.maximum(0, s.negative + 0.2)),
        ignores_shift=False,
    ),
    ListwiseCase(losses.SampledWARP(), lambda s: np.log(1 + 4 * s.mean(np.maximum(0, 1 + s.difference / 0.1)))),
    ListwiseCase(losses.SampledWARP(0.3, 1.0), lambda s: np.log(1 + 4 * s.mean(np.maximum(0, 0.3 + s.difference)))),
    ListwiseCase(losses.SampledSoftmax(), _softmax(0.1)),
    ListwiseCase(losses.SampledSoftmax(temperature=0.5), _softmax(0.5)),
    ListwiseCase(losses.SampledSoftmax(0.2, True), lambda s: np.log1p(np.exp(_softmax(0.2)(s)))),
    ListwiseCase(losses.BSL(), _bsl(0.1, 0.2, 0.5)),
    ListwiseCase(losses.BSL(0.3, 0.3, 1.2), _bsl(0.3, 0.3, 1.2), ignores_shift=False),
    ListwiseCase(losses.BSL(0.3, 0.3, 1.1, True), _pooled_bsl, ignores_shift=False),
    ListwiseCase(losses.PSL(), _psl(lambda d: 1 + d, 0.05)),
    ListwiseCase(losses.PSL("tanh", 0.1), _psl(lambda d: 1 + np.tanh(d), 0.1)),
    ListwiseCase(losses.PSL("atan", 0.1, 0.4), _psl(lambda d: 1 + np.arctan(d), 0.1, 0.4)),
    ListwiseCase(losses.SLatK(), _weighted_softmax, ignores_shift=False),
    ListwiseCase(losses.SLatK(k=5, samples=10), _weighted_softmax, ignores_shift=False),
    ListwiseCase(losses.Talos(), _talos(0.15), ignores_shift=False),
    ListwiseCase(losses.Talos(k=5, temperature=1.0), _talos(1.0), ignores_shift=False),
    ListwiseCase(losses.RankingFormulaLoss(temperature=0.2), lambda s: _softmax(0.2)(s) - np.log(4)),
    ListwiseCase(losses.DirectAU(), _direct_au(1.0)),
    ListwiseCase(losses.DirectAU(gamma=0.3), _direct_au(0.3)),
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


def sample_of(batch: ScoredBatch, loss: ListwiseLoss) -> Sample:
    """Return a batch in numpy, with the quantiles that the loss holds of its users."""
    log_q = batch.log_q.numpy() if batch.log_q.numel() else np.zeros(batch.negative.shape)
    log_weight = -log_q - logsumexp(-log_q, axis=-1, keepdims=True) + np.log(log_q.shape[-1])
    weight = np.broadcast_to(np.exp(log_weight), batch.negative.shape)
    return Sample(
        user=batch.user.numpy(),
        positive=batch.positive.numpy(),
        negative=batch.negative.numpy(),
        weight=weight,
        user_vector=batch.user_vector.numpy(),
        item_vector=batch.item_vector.numpy(),
        quantile=_quantiles(loss, batch),
    )


def _quantiles(loss: ListwiseLoss, batch: ScoredBatch) -> np.ndarray:
    has = isinstance(loss, QuantileLoss) and len(loss.quantile) > 0
    return loss.quantile[batch.user].numpy() if has else np.zeros(len(batch.user))  # type: ignore[union-attr]


def catalogue(user: Tensor) -> Tensor:
    """Return the scores of users with all items."""
    table = torch.rand(NUM_USERS, NUM_ITEMS, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    return 2 * table[user] - 1


def prepared(loss: ListwiseLoss, **changes: Any) -> ListwiseLoss:
    """Return the loss as it is in the first epoch of a training, perhaps with other arguments."""
    spec = loss.spec()
    changed = {**spec, "init_args": spec["init_args"] | changes}
    ready = type(loss).from_spec(changed) if changes else copy.deepcopy(loss)
    ready.prepare(*TRAINING, NUM_USERS, NUM_ITEMS)
    ready.start_epoch(0, catalogue, torch.Generator().manual_seed(1))
    # Some losses go on learning of the users in every step of a training.
    return ready.eval()
