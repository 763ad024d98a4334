"""The recurrent network that samples programs in batches, and gives the likelihood of others."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.attention import attend, attend_earlier
from lightning_modules.search.strategies.recurrence import LSTMStart, LSTMWeights, Recurrence, anchor_rows, unroll


class ProgramLikelihoods(NamedTuple):
    """Log-probability and entropy of every decision, ``[count, nodes, 2]``: a node's operator, then its operands.

    The log-probability of the operands is that of sampling without replacement, summed over both orders where the
    operator is commutative; their entropy is that of the distribution of the first operand.
    """

    log_probability: Tensor
    entropy: Tensor


class Controller(nn.Module):
    """LSTM with operand attention, as in ENAS (Pham et al., ICML 2018, https://arxiv.org/abs/1802.03268).

    For every node the state first gives the operator's distribution and then, having read the operator, attends over
    the earlier nodes ``v * tanh(W1 anchor + W2 h)`` for its operands. The state after reading the operands is the
    node's anchor and the next node's starting point. Logits are bounded by ``tanh_constant * tanh(.)``.

    Args:
        space: The search space.
        hidden_size: Width of the LSTM.
        tanh_constant: Bound of every logit; larger values let the policy be more certain.
        generator: Source of the initial weights, uniform in [-0.1, 0.1]; ``None`` is torch's own.
    """

    def __init__(
        self,
        space: SearchSpace,
        hidden_size: int = 64,
        tanh_constant: float = 4.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.space = space
        self.tanh_constant = tanh_constant
        self.cell = nn.LSTMCell(hidden_size, hidden_size)
        self.start = nn.Parameter(torch.empty(hidden_size))
        self.leaf_anchors = nn.Parameter(torch.empty(len(space.leaves), hidden_size))
        self.operator_embedding = nn.Embedding(len(space.operators), hidden_size)
        self.operator_head = nn.Linear(hidden_size, len(space.operators), bias=False)
        self.attend_anchor = nn.Linear(hidden_size, hidden_size, bias=False)
        self.attend_state = nn.Linear(hidden_size, hidden_size, bias=False)
        self.attention = nn.Linear(hidden_size, 1, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)

    @torch.no_grad()
    def sample(
        self, count: int, generator: torch.Generator, *, sample_operators: bool = True, sample_operands: bool = True
    ) -> Programs:
        """Sample ``count`` programs; decisions that are not sampled are the most probable ones."""
        nodes, leaves = self.space.nodes, len(self.space.leaves)
        weights = self._weights()
        recurrence = Recurrence(self._start(), weights, count, nodes)
        keys = recurrence.states.new_empty(leaves + nodes - 1, count, recurrence.states.shape[-1])
        keys[:leaves] = self.attend_anchor(self.leaf_anchors)[:, None]
        operators, operands = [], []
        for node in range(nodes):
            logits = self._bounded(self.operator_head(recurrence.states[2 * node]))
            operators.append((logits + gumbel(logits, generator) if sample_operators else logits).argmax(-1))
            recurrence.read_operator(node, weights.operators.index_select(0, operators[-1]))
            query = self.attend_state(recurrence.states[2 * node + 1])
            logits = self._bounded(attend(keys[: leaves + node], query, self.attention.weight[0]))
            # The two largest of Gumbel-perturbed logits are a sample of two without replacement.
            noisy = logits + gumbel(logits, generator) if sample_operands else logits
            operands.append(self._repeat_unary(noisy.topk(2, dim=0).indices.t(), operators[-1]))
            if node + 1 < nodes:
                recurrence.read_operands(node, anchor_rows(operands[-1], leaves))
                torch.mm(recurrence.states[2 * node + 2], self.attend_anchor.weight.t(), out=keys[leaves + node])
        return Programs(torch.stack(operators, dim=1), torch.stack(operands, dim=1))

    def likelihoods(self, programs: Programs) -> ProgramLikelihoods:
        """Return the log-probability and entropy of every decision of ``programs``."""
        states = unroll(self._start(), self._weights(), programs)
        by_operator = self._bounded(self.operator_head.weight @ states[0::2].mT).log_softmax(1)
        by_operands = self._operand_logits(states).log_softmax(1)
        operator, operands = programs.operators.t(), programs.operands.permute(1, 2, 0)
        of_operator = by_operator.gather(1, operator[:, None]).squeeze(1)
        of_operands = self._operands_log_probability(by_operands, operator, operands)
        return ProgramLikelihoods(
            torch.stack([of_operator, of_operands], dim=-1).transpose(0, 1),
            torch.stack([_entropy(by_operator), _entropy(by_operands)], dim=-1).transpose(0, 1),
        )

    def _start(self) -> LSTMStart:
        hidden, cell = self.cell(self.start[None])
        return LSTMStart(hidden, cell, self.leaf_anchors)

    def _weights(self) -> LSTMWeights:
        bias = self.cell.bias_ih + self.cell.bias_hh
        operators = torch.addmm(bias, self.operator_embedding.weight, self.cell.weight_ih.t())
        return LSTMWeights(operators, self.cell.weight_ih, self.cell.weight_hh, bias)

    def _operand_logits(self, states: Tensor) -> Tensor:
        """Return the logits of operands, ``[nodes, positions, count]``: the least number for later positions."""
        nodes, leaves = self.space.nodes, len(self.space.leaves)
        of_leaves = self.attend_anchor(self.leaf_anchors)[:, None].expand(-1, states.shape[1], -1)
        keys = torch.cat([of_leaves, self.attend_anchor(states[2::2])])
        scores = attend_earlier(keys, self.attend_state(states[1::2]), self.attention.weight[0])
        later = torch.arange(len(keys)) >= leaves + torch.arange(nodes)[:, None]
        return self._bounded(scores).masked_fill(later[..., None], torch.finfo(scores.dtype).min)

    def _bounded(self, logits: Tensor) -> Tensor:
        return self.tanh_constant * torch.tanh(logits)

    def _repeat_unary(self, operands: Tensor, operator: Tensor) -> Tensor:
        binary = self.space.binary[operator][:, None]
        return torch.where(binary, operands, operands[:, :1])

    def _operands_log_probability(self, log_probabilities: Tensor, operator: Tensor, operands: Tensor) -> Tensor:
        """Return those of operands, ``[nodes, count]``.

        Args:
            log_probabilities: Of every position, ``[nodes, positions, count]``.
            operator: ``[nodes, count]``.
            operands: ``[nodes, 2, count]``.
        """
        chosen = log_probabilities.gather(1, operands)
        # The probability of all others, summed rather than subtracted from 1, since it may be close to 1.
        first, second = (
            -log_probabilities.scatter(1, each[:, None], -torch.inf).logsumexp(1) for each in operands.unbind(1)
        )
        in_order = chosen.sum(1) + first
        either_order = chosen.sum(1) + torch.logaddexp(first, second)
        pair = torch.where(self.space.commutative[operator], either_order, in_order)
        return torch.where(self.space.binary[operator], pair, chosen[:, 0])


def _entropy(log_probabilities: Tensor) -> Tensor:
    return -(log_probabilities.exp() * log_probabilities).sum(1)


def gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return Gumbel noise of a tensor's shape; the argmax of logits plus noise is a sample from their softmax."""
    uniform = torch.rand(like.shape, generator=generator, dtype=like.dtype)
    return -torch.log(-torch.log(uniform.clamp_min(torch.finfo(like.dtype).tiny)))
