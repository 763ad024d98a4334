"""Differences of the arms to the control in test metrics, with intervals over test sessions and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.statistics.auc import Ranking
from lightning_modules.statistics.bootstrap import Resampling
from lightning_modules.statistics.significance import Difference, difference
from lightning_modules.utilities.progress import working


@dataclass(frozen=True)
class Sessions:
    """The test rows that all arms are measured on.

    Args:
        label: 0 or 1, float [n, tasks].
        session: Number of every row's session, int64 [n].
        tasks: Names of the tasks.
    """

    label: Tensor
    session: Tensor
    tasks: Sequence[str]


class ResampledMetrics:
    """AUC and session log-loss of one arm's predictions, for any weighting of the rows by whole sessions.

    Args:
        logit: Logits of one task, float [seeds, n].
        label: Labels of the task, float [n].
        session: Number of every row's session, int64 [n].
    """

    def __init__(self, logit: Tensor, label: Tensor, session: Tensor) -> None:
        self._rankings = [Ranking(each, label) for each in logit]
        # Each row's share in the mean over sessions of the session's mean.
        _, index, rows = session.unique(return_inverse=True, return_counts=True)
        self._share = 1.0 / rows[index].double()
        self._log_loss = F.softplus(torch.where(label > 0.5, -logit, logit).double()) * self._share

    def metrics(self, weights: Tensor) -> dict[str, Tensor]:
        """Return AUC and session log-loss of every seed, float64 [B, seeds]; ``weights`` are [B, n]."""
        aucs = torch.stack([ranking.auc(weights) for ranking in self._rankings], dim=1)
        weights = weights.double()
        sessions = (weights * self._share).sum(1, keepdim=True)
        return {"auc": aucs, "session_log_loss": weights @ self._log_loss.T / sessions}


def differences(
    logit: Mapping[str, Tensor],
    control: str,
    sessions: Sessions,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[tuple[str, str], Difference]:
    """Return the difference of every arm to the control, by arm and metric, such as ``auc/click``.

    All arms are measured on the same resamples of the test sessions, and their seeds are paired with the control's.

    Args:
        logit: Logits of every arm, float [seeds, n, tasks], with two seeds at least.
        control: The arm that the others are compared with.
        sessions: The test rows.
        resamples: Number of resamples.
        confidence: Confidence of the intervals.
        seed: Seed of the resamples.
    """
    found = {}
    for place, task in enumerate(sessions.tasks):
        label = sessions.label[:, place]
        arms = {arm: ResampledMetrics(each[..., place], label, sessions.session) for arm, each in logit.items()}
        observed = {arm: each.metrics(torch.ones(1, len(label))) for arm, each in arms.items()}
        resampled = _resampled(arms, sessions.session, resamples, seed)
        for arm, metric in _pairs(observed, control):
            # The same draws for every arm, so that a difference does not depend on which other arms there are.
            generator = torch.Generator().manual_seed(seed)
            found[arm, f"{metric}/{task}"] = difference(
                resampled[arm][metric],
                resampled[control][metric],
                observed[arm][metric][0],
                observed[control][metric][0],
                generator,
                confidence=confidence,
            )
    return found


def _resampled(
    arms: Mapping[str, ResampledMetrics], session: Tensor, resamples: int, seed: int
) -> dict[str, dict[str, Tensor]]:
    chunks: dict[str, list[dict[str, Tensor]]] = {arm: [] for arm in arms}
    with working("resampling test sessions", resamples) as work:
        for weights in Resampling(session, resamples, torch.Generator().manual_seed(seed)):
            for arm, each in arms.items():
                chunks[arm].append(each.metrics(weights))
            work.done += len(weights)
    return {
        arm: {name: torch.cat([each[name] for each in parts]) for name in parts[0]} for arm, parts in chunks.items()
    }


def _pairs(observed: Mapping[str, Mapping[str, Tensor]], control: str) -> Iterator[tuple[str, str]]:
    for arm, metrics in observed.items():
        if arm != control:
            for metric in metrics:
                yield arm, metric
