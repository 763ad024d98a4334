"""The best candidates of a search so far, which are trained again before anybody is told of them."""

import bisect
import math
from collections.abc import Iterable

from lightning_modules.search.trial import Trial


class Contenders:
    """Tells which candidates of a round may be among the best share of all, as they become known one by one.

    Args:
        share: The share that counts as best; 0 is none of them.
        rewards: Rewards of all candidates trained before the round.
        count: Number of candidates in the round.
    """

    def __init__(self, share: float, rewards: Iterable[float], count: int) -> None:
        self.share = share
        self._rewards = sorted(rewards)
        self._planned = len(self._rewards) + count

    def add(self, trial: Trial) -> bool:
        """Take in a candidate of the last rung, and return whether it may be among the best once all are known."""
        if trial.failed or not self.share:
            return False
        bisect.insort(self._rewards, trial.reward)
        return trial.reward >= self._least(self._planned)

    def has(self, trial: Trial) -> bool:
        """Return whether a candidate is among the best of all that are known."""
        return trial.reward >= self._least(len(self._rewards))

    def _least(self, count: int) -> float:
        """Return the reward of the last of the best among so many."""
        best = math.ceil(self.share * count)
        return self._rewards[-best] if best <= len(self._rewards) else -math.inf
