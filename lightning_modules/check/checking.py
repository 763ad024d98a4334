"""Checks a loss of any kind."""

from typing import cast

import torch

from lightning_modules.check.properties import CheckResult, check_loss
from lightning_modules.check.score_properties import ScoreCheckResult, check_scores
from lightning_modules.losses import ListwiseLoss, Loss, LossObject


def checked(
    loss: LossObject, *, generator: torch.Generator, points: int = 1000, threshold: int = 1200
) -> CheckResult | ScoreCheckResult:
    """Return the properties of a loss of one prediction, or of scores.

    Args:
        loss: The loss.
        generator: Draws the predictions or scores at which signs are counted.
        points: Number of these predictions, or of rows of scores; each has two signs.
        threshold: A loss is kept if more than this many of the 2 x ``points`` signs are right.
    """
    if loss.wants == "scores":
        return check_scores(cast(ListwiseLoss, loss), generator=generator, points=points, threshold=threshold)
    return check_loss(cast(Loss, loss), generator=generator, points=points, threshold=threshold)
