"""Mixtures of experts and critics behind task-aware gates, trained by meta-learning."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import logsigmoid

from datamodules.batches import ImpressionBatch
from lightning_modules.layers import FieldEmbedding, Gates, mix
from lightning_modules.multitask.tower_model import TowerModel


class MetaHeac(TowerModel):
    """Experts and critics, mixed by gates that know the task, and trained so that a step on one task's rows helps it.

    Zhu et al., "Learning to Expand Audience via Meta Hybrid Experts and Critics for Recommendation and Advertising",
    KDD 2021 (https://arxiv.org/abs/2105.14688). With a learned vector ``t_k`` of the task and the mean ``m`` of the
    row's embeddings, gates ``g = softmax(W [t_k, m] + b)`` over experts and ``c``, alike, over critics:
    ``h_k = sum_e g_ke expert_e(x)``, ``p_k = sum_j c_kj sigmoid(critic_j(h_k))``. Takes ``categorical`` int64
    [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    In training the first half of a batch is the support set and the second the query set. The mean loss of the support
    set moves all parameters by one step of gradient descent, and what is minimised is the query set's loss with the
    moved parameters, through that step. BatchNorm's running statistics are those of the support set, since evaluation
    is with the parameters as they are; the query set works on copies, which are dropped. A batch of a single row has no
    halves and is trained on as it is.

    The code published in MTReclib takes the mean over ``c_kj sigmoid(...)`` instead of the sum, so that no probability
    exceeds one over the number of critics. It normalises the critics' input task by task in training but with common
    statistics in evaluation; here the rows of all tasks are normalised together in both.

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        bottom_dims: Size of every hidden layer of an expert, first to last.
        tower_dims: Size of every hidden layer of a critic, first to last; a Linear layer to its logit follows.
        num_experts: Number of experts.
        num_critics: Number of critics.
        local_learning_rate: Learning rate of the step on the support set.
        options: The other arguments of :class:`TowerModel`.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        num_experts: int = 8,
        num_critics: int = 5,
        local_learning_rate: float = 2e-4,
        **options: Any,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, self.embedding_dim)
        self.experts = self.make_bottoms(num_experts, self.embedding.out_features)
        self.task_embedding = nn.Embedding(len(self.tasks), self.embedding_dim)
        self.critics = self.make_towers(num_critics, self.experts.out_features)
        expert_names = [f"expert_{index}" for index in range(num_experts)]
        critic_names = [f"critic_{index}" for index in range(num_critics)]
        self.expert_gates = Gates(2 * self.embedding_dim, self.tasks, expert_names, tied=True)
        self.critic_gates = Gates(2 * self.embedding_dim, self.tasks, critic_names, tied=True)
        self.local_learning_rate = local_learning_rate

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        row_and_task = self._row_and_task(vectors.mean(dim=1))
        features = mix(self.expert_gates(row_and_task), self.experts(vectors.flatten(1)))
        critic_logits = self.critics(features.flatten(0, 1)).view(*features.shape[:2], self.critics.num_networks)
        return mixture_logits(self.critic_gates.log_weights(row_and_task), critic_logits)

    def _row_and_task(self, row: Tensor) -> Tensor:
        """Return what the gates read: [n, dim] -> [n, tasks, 2 dim]."""
        shape = (row.shape[0], *self.task_embedding.weight.shape)
        return torch.cat([self.task_embedding.weight.expand(shape), row.unsqueeze(1).expand(shape)], dim=-1)

    def mean_task_losses(self, batch: ImpressionBatch) -> Tensor:
        """Return the mean loss of every task over the query set, shape [tasks], after a step on the support set."""
        half = len(batch.label) // 2
        if half == 0:
            return super().mean_task_losses(batch)
        adapted = self.adapted_parameters(ImpressionBatch(*(column[:half] for column in batch)))
        query = ImpressionBatch(*(column[half:] for column in batch))
        buffers = {name: buffer.clone() for name, buffer in self.named_buffers()}
        logit = functional_call(self, {**adapted, **buffers}, (query.categorical, query.numerical))
        return self._losses_of(logit, query).mean(dim=0)

    def adapted_parameters(self, support: ImpressionBatch) -> dict[str, Tensor]:
        """Return the parameters after a step of gradient descent on the mean loss, as functions of those before."""
        loss = self.task_losses(support).mean()
        parameters = {name: each for name, each in self.named_parameters() if each.requires_grad}
        # A weighting's parameters have no part in this loss: their gradient is 0.
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, materialize_grads=True)
        rate = self.local_learning_rate
        return {name: each - rate * step for (name, each), step in zip(parameters.items(), gradients, strict=True)}


def mixture_logits(log_weights: Tensor, logits: Tensor) -> Tensor:
    """Return the logits of mixed probabilities, ``p = sum_j w_j sigmoid(z_j)``, for weights that add up to 1.

    The logarithms of ``p`` and ``1 - p`` are each a sum of positive terms, so that neither overflows.

    Args:
        log_weights: Logarithms of the weights, float [..., critics].
        logits: Logits ``z``, float [..., critics].

    Returns:
        Float [...].
    """
    log_positive = torch.logsumexp(log_weights + logsigmoid(logits), dim=-1)
    return log_positive - torch.logsumexp(log_weights + logsigmoid(-logits), dim=-1)
