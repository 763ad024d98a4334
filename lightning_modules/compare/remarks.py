"""Remarks on the limits of a comparison: broken trainings, narrow grids, too few seeds or test rows."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from lightning_modules.compare.audit import Verdict
from lightning_modules.compare.protocol import Plan
from lightning_modules.compare.results import LossResult
from lightning_modules.statistics.significance import resolvable_difference
from lightning_modules.training.statuses import TRAINED
from lightning_modules.training.tuning import Axis, Tuning
from lightning_modules.utilities.markdown import short


def remarks(results: Sequence[LossResult], plan: Plan, audit: Verdict | None, *, level: float) -> Iterator[str]:
    """Yield the remarks.

    Args:
        results: All losses, the baseline first.
        plan: What was trained.
        audit: The audit, if there is one.
        level: The p-value below which a difference is significant.
    """
    for result in results:
        yield from _of_broken(result)
    yield from _of_unfinished(results)
    yield from _of_grid(results, plan.tuning)
    if len(plan.seeds) < 2:
        yield (
            "There are no intervals and p-values: with one seed nothing is known of how much a loss varies between "
            "seeds. Ask for at least two (--compare.seeds)."
        )
    yield from _of_resolution(results, level)
    if audit is not None:
        yield from audit.limits()


def _of_broken(result: LossResult) -> Iterator[str]:
    runs = result.runs
    for run in runs[runs["status"] != TRAINED].itertuples():
        # An error may have several lines, a remark has one.
        reason = f" ({' '.join(run.error.split())})" if run.error else ""
        yield f"{result.loss.label} {run.status} for seed {run.seed}{reason}; no mean over its seeds is given."


def _of_unfinished(results: Sequence[LossResult]) -> Iterator[str]:
    unfinished = [short(each.loss.label) for each in results if _is_unfinished(each.runs)]
    if unfinished:
        yield (
            f"{', '.join(unfinished)} still improved shortly before the last epoch, for one seed at least: raise "
            "--trainer.max_epochs."
        )


def _is_unfinished(runs: pd.DataFrame) -> bool:
    trained = runs[runs["status"] == TRAINED]
    # Whoever asks for one pass over the rows does not wait for a training to converge.
    return not (trained["converged"] | (trained["epochs"] == 1)).all()


def _of_grid(results: Sequence[LossResult], tuning: Tuning) -> Iterator[str]:
    sound = [each for each in results if each.is_sound]
    rates = {each.loss.label: each.setting.learning_rate for each in sound}
    decays = {each.loss.label: each.setting.weight_decay for each in sound}
    yield from _at_end("learning rate", "learning_rates", tuning.learning_rates, tuning.extensions, rates)
    yield from _at_end("weight decay", "weight_decays", tuning.weight_decays, tuning.extensions, decays)
    for name, axis in tuning.options.items():
        having = {each.loss.label: dict(each.setting.options) for each in sound}
        chosen = {label: options[name] for label, options in having.items() if name in options}
        yield from _at_end(name, "grid", axis, tuning.extensions, chosen)


def _at_end(name: str, option: str, axis: Axis, extensions: int, chosen: Mapping[str, float]) -> Iterator[str]:
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
                f"it (--compare.{option})."
            )


def _of_resolution(results: Sequence[LossResult], level: float) -> Iterator[str]:
    widths = [each.difference.half_width for each in results[1:]]
    widths = sorted(width for width in widths if not math.isnan(width))
    if widths:
        typical = resolvable_difference(widths[len(widths) // 2], level=level)
        criterion = results[0].criterion
        yield (
            f"These test {criterion.unit} and seeds resolve a difference in {criterion.title} of about {typical:.4f} "
            "(the median over the losses, for one comparison with 80 % power); smaller true differences will mostly go "
            "unseen."
        )
