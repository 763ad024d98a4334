"""A surrogate model that predicts rewards from gradients, to train the most promising of many programs."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened
from lightning_modules.search.strategies.base import Outcome
from lightning_modules.search.strategies.remembered_rewards import NO_SIGNATURE, RememberedRewards

# Between the quartiles of a normal distribution lie so many standard deviations.
_QUARTILES = 1.349
# No variance at all would be an infinite weight.
_LEAST_VARIANCE = 1e-12
# Variance of a reward of median noise about the process, whose own variance is 1.
_NOISE = 0.1


class Posterior(NamedTuple):
    """What is expected of the normal scores of programs.

    Attributes:
        mean: Expected scores, float64 ``[count]``.
        variance: Their variances, from 0 to 1, float64 ``[count]``.
        half: Covariances with the trained programs over the Cholesky factor of theirs, float64 ``[trained, count]``.
    """

    mean: Tensor
    variance: Tensor
    half: Tensor


class Surrogate:
    """A Gaussian process over the directions of gradients on the screening probe.

    Training depends on a loss only through its gradient, and adaptive optimizers remove the scale of it, so that
    programs whose gradients have nearly one direction have similar rewards: their covariance is ``exp(-d)`` with the
    distance ``d`` of the unit vectors, the exponential kernel (Rasmussen and Williams, Gaussian Processes for Machine
    Learning, 2006, section 4.2, http://gaussianprocess.org/gpml/). Rewards enter as normal scores of their ranks, since
    those of good programs are nearly equal and those of bad ones far apart.

    The noise of a reward is divided by its weight in a random-effects meta-analysis, ``1 / (se^2 + tau^2)``
    (DerSimonian and Laird, Controlled Clinical Trials 1986, https://doi.org/10.1016/0197-2456%2886%2990046-2). Here
    ``se`` is the standard error of a reward and ``tau^2`` the variance between true rewards, that of the middle half of
    the rewards less the noise, but no less than the noise, since programs of similar gradients are not one. A reward
    without a standard error has the median one; without any, weights are equal.
    """

    def __init__(self) -> None:
        self._directions: Tensor | None = None
        self._remembered = RememberedRewards()

    def __len__(self) -> int:
        return len(self._remembered)

    def update(self, outcome: Outcome) -> None:
        """Add the programs of an outcome that have had a trial."""
        self._add(outcome.screened.gradient[outcome.trained])
        self._remembered = self._remembered.extended(outcome, outcome.trained)

    def know(self, gradient: Tensor, reward: Tensor, standard_error: Tensor) -> None:
        """Add losses that are no programs; see :meth:`.Strategy.know`."""
        self._add(gradient)
        no_signature = torch.full((len(reward),), NO_SIGNATURE)
        self._remembered = self._remembered.followed_by(reward, standard_error, no_signature)

    def _add(self, gradient: Tensor) -> None:
        directions = _direction(gradient)
        self._directions = directions if self._directions is None else torch.cat([self._directions, directions])

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None) -> None:
        """Replace the rewards ``[count]`` of programs with gradient signatures ``[count]``."""
        self._remembered = self._remembered.revised(signature, reward, standard_error)

    def predict(self, gradient: Tensor) -> Posterior:
        """Return what is expected of programs with gradients ``[count, points]``."""
        assert self._directions is not None
        noise = _NOISE / self._precision()
        factor = torch.linalg.cholesky(_covariance(self._directions, self._directions) + noise.diag())
        half = torch.linalg.solve_triangular(factor, _covariance(self._directions, _direction(gradient)), upper=False)
        scores = torch.linalg.solve_triangular(factor, _normal_scores(self._remembered.reward)[:, None], upper=False)
        return Posterior((half * scores).sum(0), (1 - half.square().sum(0)).clamp_min(0), half)

    def best(self, screened: Screened, trainable: Tensor, count: int, exploration: float) -> Tensor:
        """Return the programs with the highest upper confidence bounds, of which later ones allow for earlier ones.

        Each is chosen as if those before it had the rewards that are expected of them, so that a round does not train
        the same thing many times: GP-BUCB (Desautels, Krause and Burdick, JMLR 2014,
        https://jmlr.org/papers/v15/desautels14a.html).

        Args:
            screened: Screening results of programs.
            trainable: Indices of those to choose from, int64 ``[n]``.
            count: The number to choose; all if there are fewer.
            exploration: Standard deviations that are added to the expected score; 0 trains what is expected to be best.

        Returns:
            Their indices.
        """
        gradient = screened.gradient[trainable]
        directions, (mean, variance, half) = _direction(gradient), self.predict(gradient)
        chosen: list[Tensor] = []
        left = torch.ones(len(trainable), dtype=torch.bool)
        for _ in range(min(count, len(trainable))):
            bound = (mean + exploration * variance.sqrt()).masked_fill(~left, -torch.inf)
            next_one = bound.argmax(keepdim=True)
            chosen.append(next_one)
            left[next_one] = False
            covariance = _covariance(directions[next_one], directions) - half[:, next_one].T @ half
            learned = covariance / (variance[next_one] + _NOISE).sqrt()
            half, variance = torch.cat([half, learned]), (variance - learned.square().squeeze(0)).clamp_min(0)
        return trainable[torch.cat(chosen)] if chosen else trainable[:0]

    def _precision(self) -> Tensor:
        """Return the weight of every reward by its noise, float64 ``[n]``; 1 for the median noise."""
        squared = self._remembered.standard_error.square()
        typical = squared.nanmedian()
        if typical.isnan():
            return torch.ones(len(self), dtype=torch.float64)
        rewards = self._remembered.reward
        rewards = rewards[rewards.isfinite()]
        low, high = rewards.quantile(rewards.new_tensor([0.25, 0.75])) if len(rewards) else rewards.new_zeros(2)
        between = torch.maximum(((high - low) / _QUARTILES).square() - typical, typical) + _LEAST_VARIANCE
        return (typical + between) / (torch.where(squared.isnan(), typical, squared) + between)

    def state_dict(self) -> dict[str, Any]:
        """Return the directions and rewards of the programs."""
        return {"directions": self._directions, **self._remembered.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        # Earlier versions stored gradients of another length.
        of_earlier = state.get("shapes")
        self._directions = state.get("directions") if of_earlier is None else _direction(of_earlier)
        self._remembered = RememberedRewards.of_state(state)


def _direction(gradient: Tensor) -> Tensor:
    """Return gradients as unit vectors; one that is 0 stays so."""
    largest = gradient.abs().amax(1, keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
    return torch.nn.functional.normalize(gradient / largest)


def _covariance(first: Tensor, second: Tensor) -> Tensor:
    """Return the covariances of programs with directions ``[n, points]`` and ``[m, points]``, ``[n, m]``."""
    return (-torch.cdist(first, second)).exp()


def _normal_scores(rewards: Tensor) -> Tensor:
    """Return the normal quantiles of the rewards' ranks, which equal rewards share, ``[n]``."""
    ordered = rewards.sort().values
    below = torch.searchsorted(ordered, rewards)
    rank = (below + torch.searchsorted(ordered, rewards, right=True)).double() / 2
    scores: Tensor = torch.special.ndtri(rank / len(rewards))
    return scores
