"""The reward of trainings that broke, which lies below that of every other."""

import math
from collections.abc import Iterable

import pandas as pd

#: The reward of a child that failed, or whose loss or metric was not finite, where no trained one has as little.
FLOOR_REWARD = -1.0


def floor_reward(rewards: Iterable[float]) -> float:
    """Return what a broken training is given beside trained ones with these rewards: less than any of them has.

    It is -1 wherever that is less, as it is for differences in AUC; log-loss, or a metric without a baseline, may fall
    further.
    """
    lowest = min(rewards, default=math.inf)
    return FLOOR_REWARD if lowest > FLOOR_REWARD else 2 * lowest


def with_floor(losses: pd.DataFrame) -> pd.DataFrame:
    """Return a table of losses in which those that broke have less than all that were trained, also later ones."""
    if not {"status", "reward"} <= {*losses}:
        return losses
    broken = losses["status"] != "trained"
    trained = losses.loc[~broken, "reward"].astype(float)
    return losses.assign(reward=losses["reward"].where(~broken, floor_reward(trained)))
