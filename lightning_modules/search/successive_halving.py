"""Budgets that rise within a round, so that only promising candidates get a long training."""

import math
from collections.abc import Sequence
from itertools import pairwise


class SuccessiveHalving:
    """Successive halving (Jamieson and Talwalkar, AISTATS 2016, https://arxiv.org/abs/1502.07943).

    All candidates of a round are trained for the first budget, the best of them anew for the second, and so on; a
    budget ``r`` times as long goes to one candidate in ``r``, so that every rung costs the same.

    Args:
        epochs: Rising numbers of epochs; a single 0 trains every candidate once, as long as the Trainer's recipe says.

    Raises:
        ValueError: If the numbers do not rise or one is not positive.
    """

    def __init__(self, epochs: Sequence[int] = (0,)) -> None:
        rising = all(low < high for low, high in pairwise(epochs))
        if not epochs or not rising or (min(epochs) < 1 and list(epochs) != [0]):
            raise ValueError(
                f"--search.ladder is made of rising numbers of epochs, such as 1,3,10, and is {list(epochs)}"
            )
        self.epochs = tuple(epochs)

    @property
    def top(self) -> int:
        """The longest budget."""
        return self.epochs[-1]

    def survivors(self, rung: int, scores: Sequence[float | None]) -> list[int]:
        """Return which candidates go on to the next rung, in their order; none from the last.

        Args:
            rung: Number of the rung that the scores are of.
            scores: Of each candidate on it; ``None`` for one that was not trained, which never goes on.
        """
        if rung + 1 == len(self.epochs):
            return []
        trained = [index for index, score in enumerate(scores) if score is not None]
        kept = math.ceil(len(scores) * self.epochs[rung] / self.epochs[rung + 1])
        best = sorted(trained, key=lambda index: (-_known(scores[index]), index))[:kept]
        return sorted(best)


def told_rewards(rewards: Sequence[float], rungs: Sequence[int], floor: float) -> list[float]:
    """Return what the strategy is told: rewards in the order of elimination.

    A reward is measured against the baseline under the same budget. A candidate that was stopped is told its own, but
    never more than the least reward of those that went further, since under the longer budget it would have had to
    beat them.

    Args:
        rewards: Of each candidate, under the last budget that it was given.
        rungs: The last rung of each candidate.
        floor: The reward of candidates that were not trained; it limits nobody.
    """
    told = list(rewards)
    limit = math.inf
    for rung in sorted(set(rungs), reverse=True):
        here = [index for index, reached in enumerate(rungs) if reached == rung]
        for index in here:
            told[index] = min(rewards[index], limit)
        limit = min([limit, *(told[index] for index in here if told[index] > floor)])
    return told


def _known(score: float | None) -> float:
    assert score is not None
    return score
