"""What a round's candidates start from: the given recommender, or one that moves on with the search."""

from abc import ABC, abstractmethod

import pytorch_lightning as pl

from lightning_modules.search.evaluation import Evaluation


class Schedule(ABC):
    """Holds the recommender that children are copied from.

    Attributes:
        recommender: The children's starting point.
        moves: How often it has moved on.
    """

    def __init__(self, recommender: pl.LightningModule) -> None:
        self.recommender = recommender
        self.moves = 0

    @abstractmethod
    def advance(self, best: Evaluation | None) -> bool | None:
        """Take in a round's best child; return whether the recommender moved on, ``None`` if it never does."""


class FromScratch(Schedule):
    """Every child starts from the initial recommender, so that rewards of all rounds compare."""

    def advance(self, best: Evaluation | None) -> bool | None:  # noqa: ARG002
        """Leave the recommender as it is."""
        return None


class Alternating(Schedule):
    """The recommender takes over the weights of a round's best child if that is better than all before it.

    The alternating schedule of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160). The published
    code also accepts a formula that changes nothing; here the metric has to rise by more than ``least_gain``.
    """

    least_gain = 1e-5

    def __init__(self, recommender: pl.LightningModule, score: float) -> None:
        """Start from a recommender that has the given score now."""
        super().__init__(recommender)
        self._score = score

    def advance(self, best: Evaluation | None) -> bool | None:
        """Move on if the best child's score says so."""
        if best is None or best.model is None or best.score is None or best.score <= self._score + self.least_gain:
            return False
        self.recommender.load_state_dict(best.model.state_dict())
        self._score = best.score
        self.moves += 1
        return True
