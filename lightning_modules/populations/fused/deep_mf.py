"""Deep matrix factorisation for compiled kernels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from datamodules.batches import Batch
from lightning_modules.populations.fused.dense_layers import DenseLayers
from lightning_modules.populations.fused.fused_model import FusedModel, fused, refuse_fixed, rows_of
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, SlopeCells, StepPlan
from lightning_modules.populations.fused.optimizers import Shared, TableFactory
from lightning_modules.populations.fused.plan_kernels import plan_steps
from lightning_modules.recommenders import DeepMF


class FusedDeepMF(FusedModel):
    """A copy of :class:`DeepMF`, as a table of an unused row, the users and the items, and a network.

    Args:
        recommender: The recommender to copy.
        table: Builds the table with its optimizer.
    """

    def __init__(self, recommender: DeepMF, table: TableFactory) -> None:
        refuse_fixed(recommender, other_than="mlp")
        users, items = recommender.user_embedding.weight, recommender.item_embedding.weight
        self._num_users, self._num_items = len(users), len(items)
        self._layers = DenseLayers(recommender.mlp)
        rows = torch.cat([torch.zeros_like(users[:1]), users, items]).detach().float().cpu().numpy()
        self._table = table(rows, self._layers.network)
        self._current: tuple[int, Tensor, nn.Module] | None = None

    def plan(self, samples: Batch, steps: Sequence[int]) -> StepPlan:
        """Return the plan of training steps, whose dropped units are drawn here; see :class:`FusedModel`."""
        starts, num_rows = np.asarray(steps, np.int64), 1 + self._num_users + self._num_items
        plan = plan_steps(
            *rows_of(samples, self._num_users, self._num_items),
            samples.label.numpy().astype(np.int32),
            starts,
            num_rows,
        )
        draws, draw_starts = self._layers.draws(starts)
        return plan._replace(draws=draws, draw_starts=draw_starts)

    def train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:
        """Take the steps of a plan; see :class:`FusedModel`."""
        self._layers.count(plan.steps)
        return self._table.train(plan, slopes, limits, shared)

    def logits(self, batch: Batch) -> Tensor:
        """Return the logit of every row of a batch, float [n]."""
        table, layers = self._weights()
        vectors = [
            table.index_select(0, torch.from_numpy(rows)) for rows in rows_of(batch, self._num_users, self._num_items)
        ]
        logits: Tensor = layers(torch.cat(vectors, dim=1))
        return logits.squeeze(1)

    def state(self) -> dict[str, Tensor]:
        """Return the weights as a state of :class:`DeepMF`."""
        table, layers = self._weights()
        _, users, items = table.split([1, self._num_users, self._num_items])
        own = {f"mlp.{name}": value for name, value in layers.state_dict().items()}
        views = {"user_embedding.weight": users, "item_embedding.weight": items, **own}
        return {name: view.clone() for name, view in views.items()}

    def _weights(self) -> tuple[Tensor, nn.Module]:
        # All batches of a validation read the same weights.
        if self._current is None or self._current[0] != self._table.steps:
            self._current = self._table.steps, torch.from_numpy(self._table.weights()), self._layers.module()
        return self._current[1:]


fused.register(DeepMF, FusedDeepMF)
