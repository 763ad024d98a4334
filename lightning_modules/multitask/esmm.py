"""Conversion over the entire space of impressions: probabilities that multiply along a funnel."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from datamodules.batches import ImpressionBatch
from lightning_modules.layers import FieldEmbedding
from lightning_modules.losses import InversePropensity
from lightning_modules.multitask.tower_model import TowerModel


class ESMM(TowerModel):
    """Tasks in the order of a funnel, each of whose probabilities is that of the step times all before it.

    Ma et al., "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate", SIGIR
    2018 (https://arxiv.org/abs/1804.07931): ``pCTCVR = pCTR * pCVR``, trained on all impressions. For any number of
    tasks ``p_k = sigmoid(z_0) * ... * sigmoid(z_k)``, ``z_j = tower_j(bottom_j(x))`` over embeddings that all tasks
    share, so ``p_k`` never rises along the tasks. Label ``k`` is that all steps up to ``k`` were taken. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    ``forward`` returns the logits of the products ``p_k``, ``step_logits`` those of the single steps.

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        inverse_propensity: Adds the counterfactual term of ESCM2 (Wang et al., SIGIR 2022,
            https://arxiv.org/abs/2204.05125) to the losses of all tasks but the first; None leaves it out.
        options: The other arguments of :class:`TowerModel`.
    """

    assumes_funnel: ClassVar[bool] = True
    object_arguments: ClassVar[tuple[str, ...]] = (*TowerModel.object_arguments, "inverse_propensity")

    inverse_propensity: InversePropensity | None

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        inverse_propensity: InversePropensity | None = None,
        **options: Any,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        self.keep_objects(inverse_propensity=inverse_propensity)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, self.embedding_dim, batch_norm=self.batch_norm)
        self.bottoms = self.make_bottoms(len(self.tasks), self.embedding.out_features)
        self.towers = self.make_towers(len(self.tasks), self.bottoms.out_features)

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        return funnel_logits(self.step_logits(categorical, numerical))

    def check_loss(self) -> None:
        """Refuse losses that the model cannot be trained on, that of the counterfactual term included."""
        super().check_loss()
        if self.inverse_propensity is not None:
            self.inverse_propensity.check_model(self)

    def task_losses(self, batch: ImpressionBatch) -> Tensor:
        """Return the training loss of every row and task, the counterfactual term included, shape [n, tasks]."""
        if self.inverse_propensity is None:
            return super().task_losses(batch)
        self._check_labels(batch.label)
        steps = self.step_logits(batch.categorical, batch.numerical)
        counterfactual: Tensor = self.inverse_propensity(steps, batch.label)
        return self._losses_of(funnel_logits(steps), batch) + counterfactual

    def step_logits(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every step given the ones before, such as pCTR and pCVR, in the shapes of ``forward``."""
        vectors = self.embedding(categorical, numerical)
        logits: Tensor = self.towers(self.bottoms.read_fields(self.embedding, vectors, categorical))
        return logits.squeeze(-1)


def funnel_logits(step_logits: Tensor) -> Tensor:
    """Return the logits of the products of probabilities up to each step, both [n, steps].

    With ``p_k`` the product and ``q_k = 1 - p_k = q_(k-1) + p_(k-1) (1 - sigmoid(z_k))``, the logit is
    ``log p_k - log q_k``; both logarithms are sums, so neither they nor their gradients overflow.
    """
    first, *rest = step_logits.unbind(1)
    logits, log_taken, log_left = [first], logsigmoid(first), logsigmoid(-first)
    for logit in rest:
        log_left = torch.logaddexp(log_left, log_taken + logsigmoid(-logit))
        log_taken = log_taken + logsigmoid(logit)
        logits.append(log_taken - log_left)
    return torch.stack(logits, dim=1)
