"""Probabilities that multiply along a funnel."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor
from torch.nn.functional import logsigmoid

from datamodules.batches import ImpressionBatch
from lightning_modules.layers import FieldEmbedding, ParallelMLP
from lightning_modules.losses import InversePropensity, Loss
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.multitask.weighting import TaskWeighting


class ESMM(MultiTaskModel):
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
        embedding_dim: Size of every field's embedding, and of the one of all numerical features.
        bottom_dims: Size of every hidden layer of a task's bottom, first to last.
        tower_dims: Size of every hidden layer of a tower, first to last; a Linear layer to the logit follows.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch.
        inverse_propensity: Adds the counterfactual term of ESCM2 (Wang et al., SIGIR 2022,
            https://arxiv.org/abs/2204.05125) to the losses of all tasks but the first; None leaves it out.
        loss: See :class:`MultiTaskModel`.
        weighting: See :class:`MultiTaskModel`.
        optimizer: See :class:`MultiTaskModel`.
    """

    assumes_funnel: ClassVar[bool] = True

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        embedding_dim: int = 128,
        bottom_dims: Sequence[int] = (512, 256),
        tower_dims: Sequence[int] = (128, 64),
        dropout: float = 0.2,
        batch_norm: bool = True,
        inverse_propensity: InversePropensity | None = None,
        loss: Loss | list[Loss] | None = None,
        weighting: TaskWeighting | None = None,
        optimizer: OptimizerCallable | None = None,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, loss=loss, weighting=weighting, optimizer=optimizer)
        self.inverse_propensity = inverse_propensity
        self.save_plain_hyperparameters()
        self.embedding = FieldEmbedding(field_sizes, num_numerical, embedding_dim, batch_norm=batch_norm)
        self.bottoms = ParallelMLP(
            len(self.tasks), self.embedding.out_features, bottom_dims, dropout=dropout, batch_norm=batch_norm
        )
        self.towers = ParallelMLP(
            len(self.tasks),
            self.bottoms.out_features,
            tower_dims,
            dropout=dropout,
            batch_norm=batch_norm,
            output_features=1,
        )

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

    def plain_objects(self) -> dict[str, Any]:
        """Return the losses of this moment, the weighting and the counterfactual term as plain values."""
        # The base class asks before the term is set.
        term = self._modules.get("inverse_propensity")
        described = term.spec() if isinstance(term, InversePropensity) else None
        return {**super().plain_objects(), "inverse_propensity": described}

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
