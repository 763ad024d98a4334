from pathlib import Path
from typing import Any

import pytest

from lightning_modules.check.settings import CheckSettings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to check: name the folder of a search, --formulas"),
        ({"losses": []}, "nothing to check"),
        ({"formulas": ["pred"], "points": 0}, "--points is 0"),
        (
            {"formulas": ["pred"], "threshold": -1},
            r"--threshold is -1, but 2000 signs are counted: name one in \[0, 2000\)",
        ),
        ({"formulas": ["pred"], "points": 10, "threshold": 20}, "--threshold is 20"),
        ({"run": "runs/a", "top": 0}, "--top is 0"),
        ({"formulas": ["pred"], "top": 3}, "--top is 3, but needs a search"),
        ({"formulas": ["pred"], "figures": -1}, "--figures is -1"),
    ],
)
def test_options_that_make_no_check_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckSettings(**options)


def test_the_published_threshold_by_default() -> None:
    assert CheckSettings(run="runs/a").least_right_signs == 1200
    assert CheckSettings(run="runs/a", points=10).least_right_signs == 12
    assert CheckSettings(run="runs/a", threshold=0).least_right_signs == 0


def test_the_folder_of_the_search_by_default() -> None:
    assert CheckSettings(run="runs/a").folder == Path("runs/a")
    assert CheckSettings(run="runs/a", root="runs/b").folder == Path("runs/b")
    assert CheckSettings(formulas=["pred"]).folder == Path("runs/check")
