"""How a finished search went, round by round: what it had cost and which formula was its best."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lightning_modules.search.ledger import read_ledger, read_trials
from lightning_modules.search.reports.summary import ranking
from lightning_modules.search.study import settings_of


class Step(NamedTuple):
    """A round after which a search had another best formula than before.

    Attributes:
        round: The round.
        seconds: Of all trials up to its end, on all rungs, those of the baseline included.
        epochs: Epochs of the same trials, which do not depend on how busy the machine was.
        formula: The best formula from then on.
    """

    round: int
    seconds: float
    epochs: int
    formula: str


def course(root: Path) -> list[Step]:
    """Return the rounds that changed a search's best formula."""
    ledger, spent = read_ledger(root), costs(root)
    candidates = ledger[ledger["kind"] == "candidate"]
    steps: list[Step] = []
    for number in sorted(candidates["round"].unique()):
        best = ranking(candidates[candidates["round"] <= number])["formula"].iloc[0]
        if not steps or best != steps[-1].formula:
            steps.append(Step(int(number), *_up_to(spent, number), best))
    return steps


def costs(root: Path) -> pd.DataFrame:
    """Return ``seconds`` and ``epochs`` of every trial that the search for formulas needs, with its ``round``.

    The baseline is trained before the first round; reference losses are for people to compare with.
    """
    usual = settings_of(root)["trainer"]["max_epochs"]
    rows = [
        (place.round, trial.seconds, place.epochs or usual)
        for place, trial in read_trials(root).items()
        if place.kind != "reference"
    ]
    return pd.DataFrame(rows, columns=["round", "seconds", "epochs"])


def whole_cost(root: Path) -> tuple[float, int]:
    """Return seconds and epochs of all those trials."""
    return _up_to(costs(root), math.inf)


def best_share(root: Path, share: float, count: int) -> list[str]:
    """Return so many formulas of a search's best ones, evenly spaced in their ranks, best first.

    Args:
        root: The study's folder.
        share: Of all its formulas, the share that counts as best.
        count: How many to return at most.
    """
    ledger = read_ledger(root)
    ranked = ranking(ledger[ledger["kind"] == "candidate"])["formula"].drop_duplicates()
    best = ranked.head(max(1, round(share * len(ranked)))).tolist()
    count = min(count, len(best))
    return [best[round(place * (len(best) - 1) / max(1, count - 1))] for place in range(count)]


def first_at(steps: list[Step], level: float, quality: Callable[[str], float]) -> Step | None:
    """Return the first step whose formula is of a level; ``None`` if there is none."""
    return next((step for step in steps if quality(step.formula) >= level), None)


def _up_to(spent: pd.DataFrame, number: float) -> tuple[float, int]:
    so_far = spent[spent["round"] <= number]
    return float(so_far["seconds"].sum()), int(so_far["epochs"].sum())
