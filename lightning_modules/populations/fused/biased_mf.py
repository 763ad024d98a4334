"""Biased matrix factorisation for compiled kernels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import Batch
from lightning_modules.populations.fused.factor_kernels import logits
from lightning_modules.populations.fused.fused_model import FusedModel, fused, refuse_fixed, rows_of
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, Floats, SlopeCells, StepPlan
from lightning_modules.populations.fused.optimizers import Shared, TableFactory
from lightning_modules.populations.fused.plan_kernels import plan_steps
from lightning_modules.recommenders import BiasedMF


class FusedBiasedMF(FusedModel):
    """A copy of :class:`BiasedMF`, as a table of the global bias, the users and the items.

    Args:
        recommender: The recommender to copy.
        table: Builds the table with its optimizer.
    """

    def __init__(self, recommender: BiasedMF, table: TableFactory) -> None:
        refuse_fixed(recommender, other_than="")
        user, item = recommender.user_embedding.weight, recommender.item_embedding.weight
        self._num_users, self._num_items = len(user), len(item)
        weights = np.zeros((1 + self._num_users + self._num_items, user.shape[1] + 1), np.float32)
        for name, part in self._parts(torch.from_numpy(weights)).items():
            part.copy_(recommender.get_parameter(name).detach())
        self._table = table(weights)
        self._current: tuple[int, Floats] | None = None

    def plan(self, samples: Batch, steps: Sequence[int]) -> StepPlan:
        """Return the plan of training steps; see :class:`FusedModel`."""
        label = samples.label.numpy().astype(np.int32)
        num_rows = 1 + self._num_users + self._num_items
        return plan_steps(
            *rows_of(samples, self._num_users, self._num_items), label, np.asarray(steps, np.int64), num_rows
        )

    def train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:
        """Take the steps of a plan; see :class:`FusedModel`."""
        return self._table.train(plan, slopes, limits, shared)

    def logits(self, batch: Batch) -> Tensor:
        """Return the logit of every row of a batch, float [n]."""
        return torch.from_numpy(logits(self._weights(), *rows_of(batch, self._num_users, self._num_items)))

    def state(self) -> dict[str, Tensor]:
        """Return the weights as a state of :class:`BiasedMF`."""
        return {name: part.clone() for name, part in self._parts(torch.from_numpy(self._weights())).items()}

    def _parts(self, table: Tensor) -> dict[str, Tensor]:
        """Return the views of a table that hold the recommender's parameters, by name."""
        bias, users, items = table.split([1, self._num_users, self._num_items])
        return {
            "global_bias": bias[0, -1],
            "user_embedding.weight": users[:, :-1],
            "item_embedding.weight": items[:, :-1],
            "user_bias.weight": users[:, -1:],
            "item_bias.weight": items[:, -1:],
        }

    def _weights(self) -> Floats:
        # All batches of a validation read the same weights.
        if self._current is None or self._current[0] != self._table.steps:
            self._current = self._table.steps, self._table.weights()
        return self._current[1]


fused.register(BiasedMF, FusedBiasedMF)
