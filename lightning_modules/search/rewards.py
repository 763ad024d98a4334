"""The reward of a trial: its score over the baseline's, the reward of failed trials, and warnings about noise."""

import math
import statistics
import warnings
from collections.abc import Iterable, Sequence

import pandas as pd
from torch import Tensor

from lightning_modules.losses import LossObject
from lightning_modules.search.events import Candidate
from lightning_modules.search.trial import Evaluation
from lightning_modules.statistics.single_metric import metric_name
from lightning_modules.statistics.standard_errors import standard_error

#: The reward of a trial without a score, where no trained one has as little.
FAILURE_REWARD = -1.0

#: AUC of a random ranking.
CHANCE = 0.5
# A baseline within so many standard errors of chance is not distinguished from it, at a level of about .05.
_LEAST_ABOVE = 2.0
# Fewer formulas show no spread.
_FEWEST = 5


class Baseline:
    """The baseline loss with its scores, which are subtracted from the scores of trials under the same budget.

    Args:
        loss: The baseline; ``None`` makes the score itself the reward.
        metric: Name of the metric that scores are of.

    Attributes:
        remarks: Warnings that concern every reward over the present scores.
    """

    def __init__(self, loss: LossObject | None, metric: str = "val/auc") -> None:
        self.loss = loss
        self.metric = metric
        self.remarks: list[str] = []
        self._scores: dict[int, float] = {}
        self._components: dict[int, Tensor | None] = {}

    def clear(self) -> None:
        """Forget the contributions of the reward rows, and the remarks, before the baseline is trained again."""
        self._components, self.remarks = {}, []

    def has(self, epochs: int) -> bool:
        """Return whether its evaluation under a budget is known."""
        return epochs in self._scores

    def add(self, epochs: int, evaluation: Evaluation) -> None:
        """Take in the baseline's evaluation under a budget, with a warning if it ranks no better than chance.

        Raises:
            RuntimeError: If it has no score.
        """
        assert self.loss is not None
        if evaluation.score is None:
            reason = evaluation.error or "Its loss or metric is not finite: look at the learning rate and the labels."
            raise RuntimeError(
                f"the baseline loss {self.loss.title} could not be trained ({evaluation.status}). {reason}"
            )
        self._scores[epochs], self._components[epochs] = evaluation.score, evaluation.components
        has_level = metric_name(self.metric).partition("/")[0] == "auc"
        error = evaluation.standard_error if has_level else None
        if remark := chance_remark(self.loss.title, evaluation.score, error):
            self.remarks.append(remark)
            warnings.warn(remark, stacklevel=3)

    def reward(self, evaluation: Evaluation, epochs: int) -> float:
        """Return the reward of an evaluation under a budget; -1 without a score."""
        if evaluation.score is None:
            return FAILURE_REWARD
        return evaluation.score if self.loss is None else evaluation.score - self._scores[epochs]

    def standard_error(self, evaluation: Evaluation, epochs: int) -> float | None:
        """Return the standard error of the reward, or of the score where the baseline has none for this budget."""
        if epochs not in self._components:
            return standard_error(evaluation.components)
        baseline = self._components[epochs]
        return None if baseline is None else standard_error(evaluation.components, baseline)


def failure_reward(rewards: Iterable[float]) -> float:
    """Return the reward of a failed trial among trained ones with these rewards: less than any of them.

    It is -1 wherever that is less, as it is for differences in AUC; log-loss, or a metric without a baseline, may fall
    further.
    """
    lowest = min(rewards, default=math.inf)
    return FAILURE_REWARD if lowest > FAILURE_REWARD else 2 * lowest


def with_failure_rewards(losses: pd.DataFrame) -> pd.DataFrame:
    """Return a table of losses in which every failed one has a lower reward than all trained ones, later ones too."""
    if not {"status", "reward"} <= {*losses}:
        return losses
    failed = losses["status"] != "trained"
    trained = losses.loc[~failed, "reward"].astype(float)
    return losses.assign(reward=losses["reward"].where(~failed, failure_reward(trained)))


def chance_remark(baseline: str, score: float, standard_error: float | None) -> str | None:
    """Return the warning for a baseline that ranks the reward rows no better than chance; ``None`` for others.

    Args:
        baseline: Its name.
        score: Its score, an AUC.
        standard_error: Of the score; ``None`` where the metric is no AUC and thus has no level of chance.
    """
    if standard_error is None or abs(score) > CHANCE + _LEAST_ABOVE * standard_error:
        return None
    return (
        f"The baseline {baseline} is at chance: its AUC on the reward rows is {abs(score):.3f} with a standard error "
        f"of {standard_error:.3f}, and guessing has {CHANCE:g}. Rewards over it say nothing of a loss: look at the "
        "data, the split and the learning rate, or train longer (--trainer.max_epochs)."
    )


def spread_remark(candidates: Sequence[Candidate]) -> str | None:
    """Return the warning for rewards that are within the noise of the reward rows; ``None`` if they are not.

    They are if half of the formulas lie within a standard error of the baseline: noise alone brings two thirds there.

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
