"""Ranking metrics of recommendations from the whole catalogue."""

from collections.abc import Sequence

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from datamodules.batches import CatalogueBatch
from lightning_modules.statistics.ranking import scores_of
from lightning_modules.statistics.standard_errors import mean_components
from lightning_modules.statistics.top_n import METRICS, top_n_values


class TopNMetrics(Metric):
    """Recall, NDCG, hit rate, precision, MRR and MAP at several cut-offs, as ``ndcg@20``, and what is recommended.

    The means are over the users with relevant items; see :func:`~lightning_modules.statistics.top_n.values_of_users`
    for the formulas. ``coverage@20`` is the share of the catalogue that some user has among the first 20 items. Where
    the training items are known, ``popularity@20`` is the mean number of training users of a recommended item over that
    of an item in the training rows: above 1, what is recommended is more popular than what is chosen.

    Args:
        num_items: Number of items of the catalogue.
        cutoffs: The lengths of the recommendations.

    Attributes:
        training_users: Number of training users of every item, int64 [num_items]; None where that is not known.

    Raises:
        ValueError: If there is no cut-off, or one is below 1.
    """

    full_state_update = False
    value: list[Tensor]
    recommended: Tensor
    not_finite: Tensor
    training_users: Tensor | None

    def __init__(self, num_items: int, cutoffs: Sequence[int] = (5, 10, 20)) -> None:
        super().__init__()
        if not cutoffs or min(cutoffs) < 1:
            raise ValueError(f"metrics of recommendations need cut-offs of at least 1, got {list(cutoffs)}")
        self.cutoffs = tuple(cutoffs)
        self.register_buffer("training_users", None, persistent=False)
        self._said: set[tuple[int, int]] = set()
        self.add_state("value", default=[], dist_reduce_fx="cat")
        self.add_state("recommended", torch.zeros(len(cutoffs), num_items, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("not_finite", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, scores: Tensor, batch: CatalogueBatch) -> None:
        """Add a block of users: their scores of all items, float [n, num_items], which are overwritten."""
        top, value = top_n_values(scores_of(scores), batch.seen, batch.relevant, self.cutoffs)
        self.value.append(value)
        self.not_finite += (top.score[:, 0].isnan() | (top.score[:, 0] == torch.inf)).sum()
        for count, k in zip(self.recommended, self.cutoffs, strict=True):
            is_left = top.score[:, :k] > -torch.inf
            count.index_add_(0, top.item[:, :k].flatten(), is_left.flatten().to(count.dtype))

    def compute(self) -> dict[str, Tensor]:
        """Return every metric by name; all are nan if a score is not finite, or no user has relevant items."""
        value = dim_zero_cat(self.value)
        has_relevant = ~value[:, 0, 0].isnan()
        self._say_left_out(int(has_relevant.sum()), len(value))
        means = value[has_relevant].double().mean(dim=0).float()
        found = dict(zip(self._names(METRICS), means.flatten(), strict=True))
        found |= self._of_catalogue()
        broken = bool(self.not_finite)
        return {name: torch.full_like(each, torch.nan) if broken else each for name, each in found.items()}

    def components(self, name: str) -> Tensor | None:
        """Return what every user adds to a mean over users, of all processes; ``None`` for other metrics.

        All processes have to call this.
        """
        names = self._names(METRICS)
        if name not in names:
            return None
        with self.sync_context():
            value, broken = dim_zero_cat(self.value).flatten(1)[:, names.index(name)], bool(self.not_finite)
        components = mean_components(value[~value.isnan()])
        return torch.full_like(components, torch.nan) if broken else components

    def _of_catalogue(self) -> dict[str, Tensor]:
        coverage = (self.recommended > 0).float().mean(dim=1)
        found = dict(zip(self._names(("coverage",)), coverage, strict=True))
        if self.training_users is not None:
            popularity = self.training_users.double()
            of_rows = (popularity**2).sum() / popularity.sum()
            of_recommended = (self.recommended * popularity).sum(dim=1) / self.recommended.sum(dim=1)
            found |= zip(self._names(("popularity",)), (of_recommended / of_rows).float(), strict=True)
        return found

    def _names(self, metrics: Sequence[str]) -> list[str]:
        return [f"{metric}@{k}" for metric in metrics for k in self.cutoffs]

    def _say_left_out(self, measured: int, users: int) -> None:
        if measured < users and (measured, users) not in self._said:
            self._said.add((measured, users))
            rank_zero_info(
                f"the means are over {measured} users; {users - measured} more have no items to find and are left out"
            )
