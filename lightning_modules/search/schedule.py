"""What a round's candidates start from: the given recommender, or one that moves on with the search."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor


class Schedule(ABC):
    """Holds the recommender that children are copied from; every child begins with a new optimizer.

    Attributes:
        recommender: The children's starting point.
        moves: How often it has moved on.
    """

    #: Whether the recommender may take over a child's weights, which are then to be kept.
    keeps_weights: bool

    def __init__(self, recommender: pl.LightningModule) -> None:
        self.recommender = recommender
        self.moves = 0
        self._origin = _fingerprint(recommender)

    @abstractmethod
    def wants(self, score: float | None) -> bool:
        """Return whether the recommender moves on with a round's best child, which has this score."""

    @abstractmethod
    def stay(self) -> bool | None:
        """Return what is reported of a round after which the recommender stays as it is."""

    def move(self, weights: Mapping[str, Tensor], score: float | None) -> None:  # noqa: ARG002
        """Take over the weights of a child with this score."""
        self.recommender.load_state_dict(weights)
        self.moves += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what has become of the recommender; its weights only if it has moved."""
        moved = {"moves": self.moves, "weights": self.recommender.state_dict()} if self.moves else {}
        return {"origin": self._origin, **moved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned.

        Raises:
            ValueError: If the first recommender had other weights.
        """
        if state["origin"] != self._origin:
            raise ValueError(
                "the study was begun with other starting weights than this command makes: the data have changed, or "
                "this version of torch draws others. Continue it where it was begun, or name a new folder"
            )
        if "weights" in state:
            self.moves = state["moves"]
            self.recommender.load_state_dict(state["weights"])


class FromScratch(Schedule):
    """Every child starts from the initial recommender, so that rewards of all rounds compare."""

    keeps_weights = False

    def wants(self, score: float | None) -> bool:  # noqa: ARG002
        """Leave the recommender as it is."""
        return False

    def stay(self) -> None:
        """Report nothing, since the recommender never moves."""


class Alternating(Schedule):
    """The recommender takes over the weights of a round's best child if that is better than all before it.

    The alternating schedule of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160). The published
    code also accepts a formula that changes nothing; here the metric has to rise by more than ``least_gain``.
    """

    keeps_weights = True
    least_gain = 1e-5

    def __init__(self, recommender: pl.LightningModule, score: float) -> None:
        """Start from a recommender that has the given score now."""
        super().__init__(recommender)
        self._score = score

    def wants(self, score: float | None) -> bool:
        """Move on if the score is better than all before it."""
        return score is not None and score > self._score + self.least_gain

    def stay(self) -> bool:
        """Report that the recommender did not move on."""
        return False

    def move(self, weights: Mapping[str, Tensor], score: float | None) -> None:
        """Take over a child's weights and remember its score."""
        assert score is not None
        super().move(weights, score)
        self._score = score

    def state_dict(self) -> dict[str, Any]:
        """Return what has become of the recommender, and the score to beat."""
        return {**super().state_dict(), "score": self._score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        if "score" not in state:
            raise ValueError(
                "the study was begun without --search.alternate true; set it as it was, or name a new folder"
            )
        self._score = state["score"]
        super().load_state_dict(state)


def _fingerprint(module: pl.LightningModule) -> int:
    """Return a number that other weights have with a chance of one in 2^32."""
    number = 0
    for name, value in module.state_dict().items():
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        number = zlib.crc32(data, zlib.crc32(name.encode(), number))
    return number
