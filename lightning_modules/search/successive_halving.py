"""Successive halving: budgets that rise within a round, so that only promising candidates get a long training."""

import math
from collections.abc import Sequence
from itertools import pairwise


class SuccessiveHalving:
    """Successive halving (Jamieson and Talwalkar, AISTATS 2016, https://arxiv.org/abs/1502.07943).

    On the first rung all candidates of a round are trained for the first budget; the best of them are trained anew on
    the second rung for the second budget, and so on. A budget ``r`` times as long goes to one candidate in ``r``, so
    that every rung costs the same.

    Args:
        epochs: The budget of each rung, rising; a single 0 trains every candidate once, for the number of epochs in the
            Trainer's recipe.

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
    def longest(self) -> int:
        """The longest budget."""
        return self.epochs[-1]

    def survivors(self, rung: int, scores: Sequence[float | None]) -> list[int]:
        """Return the indices of the candidates that go on to the next rung, rising; none from the last rung.

        Args:
            rung: Number of the rung that the scores are from.
            scores: Score of each candidate on it; ``None`` for one that failed, which never goes on.
        """
        if rung + 1 == len(self.epochs):
            return []
        trained = {index: score for index, score in enumerate(scores) if score is not None}
        kept = math.ceil(len(scores) * self.epochs[rung] / self.epochs[rung + 1])
        return sorted(sorted(trained, key=lambda index: (-trained[index], index))[:kept])


def told_rewards(rewards: Sequence[float], rungs: Sequence[int], failure_reward: float) -> list[float]:
    """Return the rewards that the strategy is told, which rank candidates of higher rungs first.

    A reward is a difference to the baseline under the same budget. A candidate that stopped on a rung gets its own
    reward, but never more than the least reward of those that went further, since under the longer budget it would
    have had to beat them.

    Args:
        rewards: Reward of each candidate on its last rung.
        rungs: The last rung of each candidate.
        failure_reward: Reward of failed candidates, which limits no other.
    """
    told = list(rewards)
    limit = math.inf
    for rung in sorted(set(rungs), reverse=True):
        here = [index for index, reached in enumerate(rungs) if reached == rung]
        for index in here:
            told[index] = min(rewards[index], limit)
        limit = min([limit, *(told[index] for index in here if told[index] > failure_reward)])
    return told
