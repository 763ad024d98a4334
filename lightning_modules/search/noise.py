"""What is to be said of rewards that the draw of the reward rows alone would explain."""

import statistics
from collections.abc import Sequence

from lightning_modules.search.events import Candidate

#: AUC of a ranking that knows nothing.
CHANCE = 0.5
# Standard errors within which a baseline is not told from chance: two, for a level of about .05.
_LEAST_ABOVE = 2.0
# Fewer formulas show no spread.
_FEWEST = 5


def chance_remark(baseline: str, score: float, standard_error: float | None) -> str | None:
    """Return what is to be said of a baseline that ranks the reward rows no better than chance; ``None`` of others.

    Args:
        baseline: Its name.
        score: Its score, an AUC.
        standard_error: Of the score; ``None`` where the metric is no AUC, which has no chance to be held against.
    """
    if standard_error is None or abs(score) > CHANCE + _LEAST_ABOVE * standard_error:
        return None
    return (
        f"The baseline {baseline} is at chance: its AUC on the reward rows is {abs(score):.3f} with a standard error "
        f"of {standard_error:.3f}, and guessing has {CHANCE:g}. Rewards over it say nothing of a loss: look at the "
        "data, the split and the learning rate, or train longer (--trainer.max_epochs)."
    )


def spread_remark(candidates: Sequence[Candidate]) -> str | None:
    """Return what is to be said of rewards over a baseline's that are within the noise of the reward rows.

    That is so if half of the formulas lie within a standard error of the baseline: noise alone brings two thirds there.

    Args:
        candidates: All losses that were trained.
    """
    measured = [
        (abs(each.reward), each.standard_error)
        for each in candidates
        if each.kind == "candidate" and each.status == "trained" and each.standard_error
    ]
    if len(measured) < _FEWEST:
        return None
    distance = statistics.median(reward / error for reward, error in measured)
    if distance > 1:
        return None
    typical = statistics.median(error for _, error in measured)
    return (
        f"Rewards are within the noise of the reward rows: half of the {len(measured)} trained formulas lie within "
        f"{distance:.1f} standard errors of the baseline, one of which is about {typical:.4f}, so that their ranks are "
        "largely chance. More reward rows (more data, a larger --search.holdout) or longer trainings tell them apart."
    )
