"""The best candidate of a round is kept, whatever the order in which trials end."""

from itertools import permutations
from pathlib import Path

import pytest
import torch

from lightning_modules.search.schedule import BestCandidate
from lightning_modules.search.trial import Evaluation, TrialKey


def key(position: int, number: int = 1, epochs: int = 0) -> TrialKey:
    return TrialKey(number, "candidate", position, epochs, "pred - label")


def evaluation(score: float | None, mark: float = 0.0) -> Evaluation:
    weights = {"embedding": torch.tensor([mark, 1.0])}
    return Evaluation("trained" if score is not None else "failed", score, 0.1, weights=weights)


def kept(best: BestCandidate, of: TrialKey) -> float | None:
    weights = best.weights(of)
    return None if weights is None else float(weights["embedding"][0])


def test_the_best_is_kept_in_every_order_and_the_first_of_equals(tmp_path: Path) -> None:
    trials = [
        (key(1), evaluation(0.5, 1)),
        (key(2), evaluation(0.7, 2)),
        (key(3), evaluation(0.7, 3)),
        (key(4), evaluation(None)),
    ]
    for number, order in enumerate(permutations(trials)):
        best = BestCandidate(tmp_path / f"{number}.pt")
        for each in order:
            best.offer(*each)
        for keeper in (best, BestCandidate(tmp_path / f"{number}.pt")):
            assert [kept(keeper, key(position)) for position in (1, 2, 3, 4)] == [None, 2.0, None, None]


def test_later_rounds_and_longer_budgets_go_before_better_scores(tmp_path: Path) -> None:
    best = BestCandidate(tmp_path / "best.pt", writes=False)
    for at, score in ((key(1, 1, 9), 0.9), (key(1, 2, 1), 0.2), (key(2, 2, 3), 0.1), (key(3, 2, 1), 0.8)):
        best.offer(at, evaluation(score))
    assert kept(best, key(2, 2, 3)) == 0.0
    assert kept(best, key(1, 1, 9)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_candidate_without_weights_or_score_is_not_kept(tmp_path: Path) -> None:
    best = BestCandidate(tmp_path / "best.pt")
    best.offer(key(1), Evaluation("trained", 0.5, 0.1))
    best.offer(key(2), evaluation(None))
    assert kept(best, key(1)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [0, 200, -1])
def test_a_damaged_file_holds_nothing_and_is_written_anew(tmp_path: Path, left: int) -> None:
    path = tmp_path / "best.pt"
    BestCandidate(path).offer(key(1), evaluation(0.5))
    path.write_bytes(path.read_bytes()[:left])
    best = BestCandidate(path)
    assert kept(best, key(1)) is None
    best.offer(key(2), evaluation(0.4, 4))
    assert kept(BestCandidate(path), key(2)) == 4.0
    assert [each.name for each in tmp_path.iterdir()] == ["best.pt"]
