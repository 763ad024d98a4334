"""The controller's LSTM over a batch of programs, with its own backpropagation through time.

Its steps are small operations, which work in place here, on tensors that stay in the processor's cache; autograd would
copy every intermediate result.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.search.space import Programs


class LSTMWeights(NamedTuple):
    """Weights of the cell, with gates in the order of :class:`torch.nn.LSTMCell`: input, forget, cell, output.

    Attributes:
        operators: What each operator adds to the gates, with the bias, ``[operators, 4 * hidden]``.
        anchors: Weight of what is read of anchors, ``[4 * hidden, hidden]``.
        state: Weight of the hidden state, ``[4 * hidden, hidden]``.
        bias: Added to the gates where anchors are read, ``[4 * hidden]``.
    """

    operators: Tensor
    anchors: Tensor
    state: Tensor
    bias: Tensor


class LSTMStart(NamedTuple):
    """What the first step starts from: a hidden and a cell state ``[1, hidden]``, and ``[leaves, hidden]`` anchors."""

    hidden: Tensor
    cell: Tensor
    leaf_anchors: Tensor


class _Step(NamedTuple):
    """What the gradient of a step needs: sums of anchors read, the gates, the earlier cell, tanh of the new one."""

    read: Tensor | None
    gates: Tensor
    cell: Tensor
    bounded_cell: Tensor


class Recurrence:
    """Takes the LSTM through the nodes of ``count`` programs, without a graph.

    A node reads its operator, and then the mean of its operands' anchors. The hidden state after that is its anchor.

    Args:
        start: What the first step starts from.
        weights: The cell's weights.
        count: Number of programs.
        nodes: Number of nodes of each.

    Attributes:
        states: Hidden states ``[2 * nodes, count, hidden]``: for each node before and after it reads its operator.
        memory: Anchors of the leaves, followed by the states, which hold those of the nodes.
    """

    def __init__(self, start: LSTMStart, weights: LSTMWeights, count: int, nodes: int) -> None:
        self.weights = weights
        self.leaves, hidden_size = start.leaf_anchors.shape
        self.memory = start.hidden.new_empty(self.leaves + 2 * nodes, count, hidden_size)
        self.memory[: self.leaves] = start.leaf_anchors[:, None]
        self.states = self.memory[self.leaves :]
        self.states[0] = start.hidden
        self._cell = start.cell.expand(count, -1)
        # Of the sum of two anchors, which takes a pass less than their mean.
        self._half = weights.anchors.t() / 2

    def read_operator(self, node: int, gates: Tensor) -> _Step:
        """Let a node read its operator, given as what it adds to the gates, ``[count, 4 * hidden]``; overwritten."""
        return self._step(2 * node, None, gates)

    def read_operands(self, node: int, rows: Tensor) -> _Step:
        """Let a node read its operands, given by :func:`anchor_rows`."""
        first, second = rows.unbind(1)
        anchors = self.memory.flatten(0, 1)
        read = anchors.index_select(0, first).add_(anchors.index_select(0, second))
        return self._step(2 * node + 1, read, torch.addmm(self.weights.bias, read, self._half))

    def _step(self, number: int, read: Tensor | None, gates: Tensor) -> _Step:
        gates.addmm_(self.states[number], self.weights.state.t())
        enter, forget, new, leave = gates.chunk(4, dim=1)
        gates[:, : 2 * new.shape[1]].sigmoid_()
        new.tanh_()
        leave.sigmoid_()
        cell = (forget * self._cell).addcmul_(enter, new)
        step = _Step(read, gates, self._cell, cell.tanh())
        torch.mul(leave, step.bounded_cell, out=self.states[number + 1])
        self._cell = cell
        return step


def anchor_rows(operands: Tensor, leaves: int) -> Tensor:
    """Return where a recurrence's flattened memory has the anchors of operands ``[..., count, 2]``."""
    step = torch.where(operands < leaves, operands, 2 * operands - leaves + 2)
    return step * operands.shape[-2] + torch.arange(operands.shape[-2])[:, None]


def unroll(start: LSTMStart, weights: LSTMWeights, programs: Programs) -> Tensor:
    """Return the hidden states of a :class:`Recurrence` over ``programs``; they can be differentiated once."""
    # torch gives `apply` no types.
    states: Tensor = _Unroll.apply(*start, *weights, programs)  # type: ignore[no-untyped-call]
    return states


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        start, weights, programs = LSTMStart(*arguments[:3]), LSTMWeights(*arguments[3:7]), arguments[7]
        count, nodes = programs.operators.shape
        recurrence = Recurrence(start, weights, count, nodes)
        ctx.operators = programs.operators.t().contiguous()
        ctx.rows = anchor_rows(programs.operands.transpose(0, 1), recurrence.leaves)
        gates = weights.operators.index_select(0, ctx.operators.flatten()).view(nodes, count, -1)
        ctx.steps = []
        for node in range(nodes):
            ctx.steps.append(recurrence.read_operator(node, gates[node]))
            if node + 1 < nodes:
                ctx.steps.append(recurrence.read_operands(node, ctx.rows[node]))
        ctx.save_for_backward(recurrence.memory, *weights)
        ctx.leaves = recurrence.leaves
        return recurrence.states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        memory, *tensors = ctx.saved_tensors
        weights, leaves = LSTMWeights(*tensors), ctx.leaves
        of_memory = torch.cat([torch.zeros_like(memory[:leaves]), gradient])
        of_anchors, of_cell = of_memory.flatten(0, 1), torch.zeros_like(of_memory[0])
        of_weights, half = LSTMWeights(*map(torch.zeros_like, weights)), weights.anchors / 2
        for number, step in reversed(list(enumerate(ctx.steps))):
            state, node = leaves + number, number // 2
            of_gates = _gate_gradient(step, of_memory[state + 1], of_cell)
            of_memory[state].addmm_(of_gates, weights.state)
            of_weights.state.addmm_(of_gates.t(), memory[state])
            if step.read is None:
                of_weights.operators.index_add_(0, ctx.operators[node], of_gates)
                continue
            of_weights.anchors.addmm_(of_gates.t(), step.read, alpha=0.5)
            of_weights.bias.add_(of_gates.sum(0))
            of_read = torch.mm(of_gates, half)
            for rows in ctx.rows[node].unbind(1):
                of_anchors.index_add_(0, rows, of_read)
        of_start = (of_memory[leaves].sum(0, keepdim=True), of_cell.sum(0, keepdim=True), of_memory[:leaves].sum(1))
        return *of_start, *of_weights, None


def _gate_gradient(step: _Step, of_hidden: Tensor, of_cell: Tensor) -> Tensor:
    """Return the gradient of a step's gates before activation; make that of its new cell that of the earlier one."""
    enter, forget, new, leave = step.gates.chunk(4, dim=1)
    through = of_hidden * leave
    of_cell.add_(through).addcmul_(through.mul_(step.bounded_cell), step.bounded_cell, value=-1)
    # The slope of each activation: s(1 - s), and 1 - t^2 for the tanh.
    of_gates = torch.addcmul(step.gates, step.gates, step.gates, value=-1)
    of_enter, of_forget, of_new, of_leave = of_gates.chunk(4, dim=1)
    torch.addcmul(torch.ones((), dtype=new.dtype), new, new, value=-1, out=of_new)
    of_enter.mul_(of_cell).mul_(new)
    of_forget.mul_(of_cell).mul_(step.cell)
    of_new.mul_(of_cell).mul_(enter)
    of_leave.mul_(of_hidden).mul_(step.bounded_cell)
    of_cell.mul_(forget)
    return of_gates
