"""What the panels of a search's picture are drawn from."""

import pandas as pd
import pytest

from lightning_modules.search.reports import panels
from lightning_modules.search.reports.summary import as_table, ranking
from tests.search.observer_helpers import candidate

#: Rewards, budgets and statuses by round.
ROUNDS = [
    [(-1.0, 1, "failed")],
    [(0.3, 1, "trained"), (0.5, 1, "trained")],
    [(0.9, 1, "failed")],
    [(0.1, 3, "trained"), (0.8, 1, "trained")],
    [(0.2, 3, "trained"), (0.2, 3, "trained")],
    [(0.15, 3, "trained")],
]


def test_the_best_so_far_is_the_first_of_the_ranking_of_all_rounds_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    found = as_table(
        [
            candidate(round=number, position=place, reward=reward, epochs=epochs, status=status)
            for number, row in enumerate(ROUNDS, start=1)
            for place, (reward, epochs, status) in enumerate(row, start=1)
        ]
    )
    expected = [ranking(found[found["round"] <= number])["reward"].iloc[0] for number in range(1, 7)]
    calls: list[int] = []

    def counted(losses: pd.DataFrame) -> pd.DataFrame:
        calls.append(len(losses))
        return ranking(losses)

    monkeypatch.setattr(panels, "ranking", counted)
    best = panels._best_so_far(found)
    assert (best.index.tolist(), best.tolist()) == ([1, 2, 3, 4, 5, 6], expected)
    assert expected[1:] == [0.5, 0.5, 0.1, 0.2, 0.2]
    # A ranking of every round would take a time that rises with the square of their number.
    assert calls == [len(found)]
