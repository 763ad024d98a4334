"""The weights that trials start from: those of the given recommender, or of the best candidate so far."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.search.trial import Evaluation, TrialKey
from lightning_modules.utilities.files import save_tensors


class Schedule(ABC):
    """Holds the recommender that every trial copies; a trial begins with a new optimizer.

    Attributes:
        recommender: The starting point of the trials.
        moves: How often it has taken over a candidate's weights.
    """

    #: Whether the recommender may take over a candidate's weights, which have to be kept until then.
    keeps_weights: bool

    def __init__(self, recommender: pl.LightningModule) -> None:
        self.recommender = recommender
        self.moves = 0
        self._origin = _fingerprint(recommender)

    @abstractmethod
    def wants(self, score: float | None) -> bool:
        """Return whether the recommender takes over the weights of a round's best candidate with this score."""

    @abstractmethod
    def stay(self) -> bool | None:
        """Return what ``advance`` reports for a round after which the recommender stays unchanged."""

    def move(self, weights: Mapping[str, Tensor], score: float | None) -> None:  # noqa: ARG002
        """Take over the weights of a candidate with this score."""
        self.recommender.load_state_dict(weights)
        self.moves += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the fingerprint of the first weights, and the present weights if they are others."""
        moved = {"moves": self.moves, "weights": self.recommender.state_dict()} if self.moves else {}
        return {"origin": self._origin, **moved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned.

        Raises:
            ValueError: If the initial recommender had other weights.
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
    """Every trial starts from the initial recommender, so that rewards of all rounds compare."""

    keeps_weights = False

    def wants(self, score: float | None) -> bool:  # noqa: ARG002
        """Leave the recommender unchanged."""
        return False

    def stay(self) -> None:
        """Report nothing, since the recommender never changes."""


class Alternating(Schedule):
    """The recommender takes over the weights of a round's best candidate if that is better than all before it.

    The alternating schedule of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160). The published
    code also accepts a formula that changes nothing; here the metric has to rise by more than ``least_gain``.
    """

    keeps_weights = True
    least_gain = 1e-5

    def __init__(self, recommender: pl.LightningModule, score: float) -> None:
        """Start from a recommender with this score."""
        super().__init__(recommender)
        self._score = score

    def wants(self, score: float | None) -> bool:
        """Accept a score that is better than all before it."""
        return score is not None and score > self._score + self.least_gain

    def stay(self) -> bool:
        """Report that the recommender took over no weights."""
        return False

    def move(self, weights: Mapping[str, Tensor], score: float | None) -> None:
        """Take over a candidate's weights and keep its score."""
        assert score is not None
        super().move(weights, score)
        self._score = score

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base class and the score to beat."""
        return {**super().state_dict(), "score": self._score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        if "score" not in state:
            raise ValueError(
                "the study was begun without --search.alternate true; set it as it was, or name a new folder"
            )
        self._score = state["score"]
        super().load_state_dict(state)


def _fingerprint(module: pl.LightningModule) -> int:
    """Return a CRC-32 of the weights, which other weights share with a probability of 2^-32."""
    number = 0
    for name, value in module.state_dict().items():
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        number = zlib.crc32(data, zlib.crc32(name.encode(), number))
    return number


class BestCandidate:
    """Keeps the weights of the best candidate of the last round, on disk too, so that a resumed round has them.

    Equal scores are decided by the position in the round, whatever the order in which trials end.

    Args:
        path: The file.
        writes: Whether to write it; a process that does not keeps the weights in memory.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self._best = self._read()

    def offer(self, key: TrialKey, evaluation: Evaluation) -> None:
        """Keep a candidate's weights if it is the best of its round and budget, or the first of it.

        Raises:
            OSError: If the file cannot be written.
        """
        if evaluation.score is None or evaluation.weights is None:
            return
        # "place" is the name that stored files have for the key.
        best = {"place": asdict(key), "score": evaluation.score, "weights": evaluation.weights}
        if self._best is None or _rank(best) > _rank(self._best):
            self._best = best
            if self.writes:
                save_tensors(self.path, best)

    def weights(self, key: TrialKey) -> Mapping[str, Tensor] | None:
        """Return the weights of a trial; ``None`` if it is not the best."""
        if self._best is None or self._best["place"] != asdict(key):
            return None
        weights: Mapping[str, Tensor] = self._best["weights"]
        return weights

    def _read(self) -> dict[str, Any] | None:
        if not self.path.is_file():
            return None
        try:
            best: dict[str, Any] = torch.load(self.path, weights_only=True)
            return best
        except Exception:  # torch's parser raises various errors on a damaged file; the candidate is trained again
            return None


def _rank(best: Mapping[str, Any]) -> tuple[int, int, float, int]:
    key = best["place"]
    return key["round"], key["epochs"], best["score"], -key["position"]
