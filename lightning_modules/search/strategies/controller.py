"""The recurrent network that samples programs in batches, and gives the likelihood of others."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.search.space import Programs, SearchSpace


class ProgramLikelihoods(NamedTuple):
    """Log-probability and entropy of every decision, ``[count, nodes, 2]``: a node's operator, then its operands.

    The log-probability of the operands is that of sampling without replacement, summed over both orders where the
    operator is commutative; their entropy is that of the distribution of the first operand.
    """

    log_probability: Tensor
    entropy: Tensor


class _Decision(NamedTuple):
    """One node of all programs: logits ``[count, operators]`` and ``[count, positions]``, and the choices."""

    operator_logits: Tensor
    operator: Tensor
    operand_logits: Tensor
    operands: Tensor


# Chooses from a node's logits, given the node's number.
_Choice = Callable[[Tensor, int], Tensor]


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

        def operator(logits: Tensor, _: int) -> Tensor:
            return (logits + gumbel(logits, generator) if sample_operators else logits).argmax(-1)

        def operands(logits: Tensor, _: int) -> Tensor:
            # The two largest of Gumbel-perturbed logits are a sample of two without replacement.
            return (logits + gumbel(logits, generator) if sample_operands else logits).topk(2).indices

        decisions = list(self._unroll(count, operator, operands))
        return Programs(
            torch.stack([decision.operator for decision in decisions], dim=1),
            torch.stack([decision.operands for decision in decisions], dim=1),
        )

    def likelihoods(self, programs: Programs) -> ProgramLikelihoods:
        """Return the log-probability and entropy of every decision of ``programs``."""
        decisions = self._unroll(
            len(programs),
            lambda _, node: programs.operators[:, node],
            lambda _, node: programs.operands[:, node],
        )
        likelihoods = [self._likelihoods(decision) for decision in decisions]
        return ProgramLikelihoods(*(torch.stack(column, dim=1) for column in zip(*likelihoods, strict=True)))

    def _unroll(self, count: int, choose_operator: _Choice, choose_operands: _Choice) -> Iterator[_Decision]:
        hidden, cell = self.cell(self.start[None])
        state = (hidden.expand(count, -1), cell.expand(count, -1))
        anchors = [anchor.expand(count, -1) for anchor in self.leaf_anchors]
        keys = [self.attend_anchor(anchor).expand(count, -1) for anchor in self.leaf_anchors]
        for node in range(self.space.nodes):
            operator_logits = self._bounded(self.operator_head(state[0]))
            operator = choose_operator(operator_logits, node)
            state = self.cell(self.operator_embedding(operator), state)
            attended = torch.tanh(torch.stack(keys, dim=1) + self.attend_state(state[0])[:, None])
            operand_logits = self._bounded(self.attention(attended).squeeze(-1))
            operands = self._repeat_unary(choose_operands(operand_logits, node), operator)
            yield _Decision(operator_logits, operator, operand_logits, operands)
            if node + 1 < self.space.nodes:
                index = operands[:, :, None].expand(-1, -1, hidden.shape[1])
                state = self.cell(torch.stack(anchors, dim=1).gather(1, index).mean(1), state)
                anchors.append(state[0])
                keys.append(self.attend_anchor(state[0]))

    def _bounded(self, logits: Tensor) -> Tensor:
        return self.tanh_constant * torch.tanh(logits)

    def _repeat_unary(self, operands: Tensor, operator: Tensor) -> Tensor:
        binary = self.space.binary[operator][:, None]
        return torch.where(binary, operands, operands[:, :1])

    def _likelihoods(self, decision: _Decision) -> ProgramLikelihoods:
        operator_log = decision.operator_logits.log_softmax(-1)
        operand_log = decision.operand_logits.log_softmax(-1)
        operator = operator_log.gather(1, decision.operator[:, None]).squeeze(1)
        operands = self._operands_log_probability(operand_log, decision.operator, decision.operands)
        return ProgramLikelihoods(
            torch.stack([operator, operands], dim=-1),
            torch.stack([_entropy(operator_log), _entropy(operand_log)], dim=-1),
        )

    def _operands_log_probability(self, log_probabilities: Tensor, operator: Tensor, operands: Tensor) -> Tensor:
        chosen = log_probabilities.gather(1, operands)
        # The probability of all others, summed rather than subtracted from 1, since it may be close to 1.
        positions = torch.arange(log_probabilities.shape[1])
        others = positions != operands[:, :, None]
        remaining = -log_probabilities[:, None].where(others, -torch.inf).logsumexp(-1)
        in_order = chosen.sum(-1) + remaining[:, 0]
        either_order = chosen.sum(-1) + torch.logaddexp(remaining[:, 0], remaining[:, 1])
        pair = torch.where(self.space.commutative[operator], either_order, in_order)
        return torch.where(self.space.binary[operator], pair, chosen[:, 0])


def _entropy(log_probabilities: Tensor) -> Tensor:
    return -(log_probabilities.exp() * log_probabilities).sum(-1)


def gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return Gumbel noise of a tensor's shape; the argmax of logits plus noise is a sample from their softmax."""
    uniform = torch.rand(like.shape, generator=generator, dtype=like.dtype)
    return -torch.log(-torch.log(uniform.clamp_min(torch.finfo(like.dtype).tiny)))
