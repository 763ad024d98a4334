"""The weights of a round's best child, which the recommender may move on with."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.evaluation import Evaluation
from lightning_modules.search.places import TrialKey
from lightning_modules.utilities.files import save_tensors


class BestCandidate:
    """Keeps the weights of the best child so far, on disk too, so that a round that was broken off need not repeat it.

    Equal scores are decided by the place, whatever the order in which children end.

    Args:
        path: The file.
        writes: Whether to write it; a process that does not keeps the weights in memory, like the one that does.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self._best = self._read()

    def offer(self, place: TrialKey, evaluation: Evaluation) -> None:
        """Keep a trained child's weights if it is the best of its round and budget, or the first of it.

        Raises:
            OSError: If the file cannot be written.
        """
        if evaluation.score is None or evaluation.weights is None:
            return
        best = {"place": asdict(place), "score": evaluation.score, "weights": evaluation.weights}
        if self._best is None or _rank(best) > _rank(self._best):
            self._best = best
            self._write()

    def weights(self, place: TrialKey) -> Mapping[str, Tensor] | None:
        """Return the weights of the child at a place; ``None`` if it is not the best."""
        if self._best is None or self._best["place"] != asdict(place):
            return None
        weights: Mapping[str, Tensor] = self._best["weights"]
        return weights

    def _write(self) -> None:
        if self.writes:
            save_tensors(self.path, self._best)

    def _read(self) -> dict[str, Any] | None:
        if not self.path.is_file():
            return None
        try:
            best: dict[str, Any] = torch.load(self.path, weights_only=True)
            return best
        except Exception:  # damaged: torch raises whatever its parser meets; the child is trained again
            return None


def _rank(best: Mapping[str, Any]) -> tuple[int, int, float, int]:
    place = best["place"]
    return place["round"], place["epochs"], best["score"], -place["position"]
