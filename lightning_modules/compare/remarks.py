"""What a reader must know before believing a comparison."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from lightning_modules.compare.audit import Audit
from lightning_modules.compare.effectiveness import Plan
from lightning_modules.compare.significance import resolvable_difference
from lightning_modules.compare.standings import Standing
from lightning_modules.compare.tables import short
from lightning_modules.compare.training import TRAINED


def remarks(standings: Sequence[Standing], plan: Plan, audit: Audit | None, *, level: float) -> Iterator[str]:
    """Yield what weakens the comparison: broken trainings, a grid that is too narrow, too few seeds or test rows.

    Args:
        standings: All losses, the baseline first.
        plan: What was trained.
        audit: The audit, if there is one.
        level: The p-value below which a difference is called one.
    """
    for standing in standings:
        yield from _of_broken(standing)
    yield from _of_unfinished(standings)
    yield from _of_grid(standings, plan)
    if len(plan.seeds) < 2:
        yield (
            "There are no intervals and p-values: with one seed nothing is known of how much a loss varies between "
            "seeds. Ask for at least two (--compare.seeds)."
        )
    yield from _of_resolution(standings, audit, level)


def _of_broken(standing: Standing) -> Iterator[str]:
    runs = standing.runs
    for run in runs[runs["status"] != TRAINED].itertuples():
        # Errors have lines of their own, a remark is one.
        reason = f" ({' '.join(run.error.split())})" if run.error else ""
        yield f"{standing.entrant.label} {run.status} for seed {run.seed}{reason}; no mean over its seeds is given."


def _of_unfinished(standings: Sequence[Standing]) -> Iterator[str]:
    unfinished = [short(each.entrant.label) for each in standings if _is_unfinished(each.runs)]
    if unfinished:
        yield (
            f"{', '.join(unfinished)} still improved shortly before the last epoch, for one seed at least: raise "
            "--trainer.max_epochs."
        )


def _is_unfinished(runs: pd.DataFrame) -> bool:
    return not runs.loc[runs["status"] == TRAINED, "converged"].all()


def _of_grid(standings: Sequence[Standing], plan: Plan) -> Iterator[str]:
    rates = sorted({setting.learning_rate for setting in plan.settings})
    decays = sorted({setting.weight_decay for setting in plan.settings})
    sound = [each for each in standings if each.is_sound]
    yield from _at_end("learning rate", rates, {each.entrant.label: each.setting.learning_rate for each in sound})
    yield from _at_end("weight decay", decays, {each.entrant.label: each.setting.weight_decay for each in sound})


def _at_end(name: str, grid: Sequence[float], chosen: Mapping[str, float]) -> Iterator[str]:
    ends = {"smallest": grid[0], "largest": grid[-1]} if len(grid) > 1 else {}
    for end, value in ends.items():
        # No weight decay at all is a natural end.
        labels = [short(label) for label, choice in chosen.items() if choice == value > 0]
        if labels:
            yield (
                f"The {end} {name} of the grid, {value:g}, was the best for {', '.join(labels)}: a better one may lie "
                "beyond it."
            )


def _of_resolution(standings: Sequence[Standing], audit: Audit | None, level: float) -> Iterator[str]:
    errors = [each.difference.standard_error for each in standings[1:]]
    errors = sorted(error for error in errors if not math.isnan(error))
    if errors:
        typical = resolvable_difference(errors[len(errors) // 2], level=level)
        yield (
            f"These test rows and seeds resolve a difference in AUC of about {typical:.4f} (the median over the "
            "losses, for one comparison with 80 % power); smaller true differences will mostly go unseen."
        )
    for verdict in audit.verdicts if audit else ():
        resolved = resolvable_difference(verdict.difference.standard_error, level=level)
        if verdict.p_value >= verdict.level and abs(verdict.difference.estimate) < resolved:
            yield (
                f"The difference between the search and {verdict.opponent}, {verdict.difference.estimate:+.4f}, is "
                f"below the {resolved:.4f} that this split resolves: it supports no conclusion either way, and a "
                "larger test split would be needed for one."
            )
