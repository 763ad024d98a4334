"""What a reader must know before believing a comparison."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from lightning_modules.compare.audit import Audit
from lightning_modules.compare.protocol import Plan
from lightning_modules.compare.results import LossResult
from lightning_modules.compare.tuning import Axis, Tuning
from lightning_modules.statistics.significance import resolvable_difference
from lightning_modules.training.convergence import TRAINED
from lightning_modules.utilities.markdown import short


def remarks(standings: Sequence[LossResult], plan: Plan, audit: Audit | None, *, level: float) -> Iterator[str]:
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
    yield from _of_grid(standings, plan.tuning)
    if len(plan.seeds) < 2:
        yield (
            "There are no intervals and p-values: with one seed nothing is known of how much a loss varies between "
            "seeds. Ask for at least two (--compare.seeds)."
        )
    yield from _of_resolution(standings, audit, level)
    if audit is not None:
        yield "The audit is of one search: another seed finds other formulas, which the intervals do not cover."


def _of_broken(standing: LossResult) -> Iterator[str]:
    runs = standing.runs
    for run in runs[runs["status"] != TRAINED].itertuples():
        # Errors have lines of their own, a remark is one.
        reason = f" ({' '.join(run.error.split())})" if run.error else ""
        yield f"{standing.entrant.label} {run.status} for seed {run.seed}{reason}; no mean over its seeds is given."


def _of_unfinished(standings: Sequence[LossResult]) -> Iterator[str]:
    unfinished = [short(each.entrant.label) for each in standings if _is_unfinished(each.runs)]
    if unfinished:
        yield (
            f"{', '.join(unfinished)} still improved shortly before the last epoch, for one seed at least: raise "
            "--trainer.max_epochs."
        )


def _is_unfinished(runs: pd.DataFrame) -> bool:
    return not runs.loc[runs["status"] == TRAINED, "converged"].all()


def _of_grid(standings: Sequence[LossResult], tuning: Tuning) -> Iterator[str]:
    sound = [each for each in standings if each.is_sound]
    rates = {each.entrant.label: each.setting.learning_rate for each in sound}
    decays = {each.entrant.label: each.setting.weight_decay for each in sound}
    yield from _at_end("learning rate", tuning.learning_rates, tuning.extensions, rates)
    yield from _at_end("weight decay", tuning.weight_decays, tuning.extensions, decays)


def _at_end(name: str, axis: Axis, extensions: int, chosen: Mapping[str, float]) -> Iterator[str]:
    if len(axis.values) < 2:
        return
    smallest, largest = axis.ends(extensions)
    # No weight decay at all is a natural end, and values are rounded.
    low = [short(label) for label, choice in chosen.items() if 0 < choice <= smallest * 1.01]
    high = [short(label) for label, choice in chosen.items() if choice >= largest * 0.99]
    for end, labels in {"smallest": low, "largest": high}.items():
        if labels:
            yield (
                f"The {end} {name} that was tried was the best for {', '.join(labels)}: a better one may lie beyond "
                f"it (--compare.{name.replace(' ', '_')}s)."
            )


def _of_resolution(standings: Sequence[LossResult], audit: Audit | None, level: float) -> Iterator[str]:
    widths = [each.difference.half_width for each in standings[1:]]
    widths = sorted(width for width in widths if not math.isnan(width))
    if widths:
        typical = resolvable_difference(widths[len(widths) // 2], level=level)
        yield (
            f"These test rows and seeds resolve a difference in AUC of about {typical:.4f} (the median over the "
            "losses, for one comparison with 80 % power); smaller true differences will mostly go unseen."
        )
    for verdict in audit.verdicts if audit else ():
        resolved = resolvable_difference(verdict.difference.half_width, level=level)
        if verdict.p_value >= verdict.level and abs(verdict.difference.estimate) < resolved:
            yield (
                f"The difference between the search and {verdict.opponent}, {verdict.difference.estimate:+.4f}, is "
                f"below the {resolved:.4f} that this split resolves: it supports no conclusion either way, and a "
                "larger test split would be needed for one."
            )
