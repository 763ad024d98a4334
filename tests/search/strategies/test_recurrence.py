"""The written-out recurrence and attention against torch's cell and autograd."""

import pytest
import torch
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.attention import attend_earlier
from lightning_modules.search.strategies.recurrence import LSTMStart, LSTMWeights, Recurrence, anchor_rows, unroll
from tests.search.search_helpers import full_space, seeded

SPACE = full_space(nodes=5)
HIDDEN, COUNT, LEAVES = 6, 9, len(SPACE.leaves)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).requires_grad_()


def parts() -> tuple[LSTMStart, LSTMWeights]:
    start = LSTMStart(random(1, HIDDEN, seed=1), random(1, HIDDEN, seed=2), random(LEAVES, HIDDEN, seed=3))
    gates = 4 * HIDDEN
    operators = random(len(SPACE.operators), gates, seed=4)
    return start, LSTMWeights(
        operators, random(gates, HIDDEN, seed=5), random(gates, HIDDEN, seed=6), random(gates, seed=7)
    )


def by_cell(start: LSTMStart, weights: LSTMWeights, programs: Programs) -> Tensor:
    """Return the states with torch's cell, a program at a time."""
    rows = []
    for operators, operands in zip(programs.operators.tolist(), programs.operands.tolist(), strict=True):
        state, anchors, states = (start.hidden, start.cell), list(start.leaf_anchors), [start.hidden]
        for node, (operator, positions) in enumerate(zip(operators, operands, strict=True)):
            # The operator's gates enter as a bias, with an input of zeros.
            zeros = torch.zeros_like(start.hidden)
            no_bias = torch.zeros_like(weights.bias)
            state = torch.lstm_cell(zeros, state, weights.anchors, weights.state, weights.operators[operator], no_bias)
            states.append(state[0])
            if node + 1 < len(operators):
                mean = (anchors[positions[0]] + anchors[positions[1]])[None] / 2
                state = torch.lstm_cell(mean, state, weights.anchors, weights.state, weights.bias, no_bias)
                states.append(state[0])
                anchors.append(state[0][0])
        rows.append(torch.cat(states))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("space", [SPACE, SearchSpace(["add", "log"], nodes=1)])
def test_states_and_gradients_are_those_of_torchs_cell(space: SearchSpace) -> None:
    start, weights = parts()
    programs = space.uniform(COUNT, seeded())
    states, expected = unroll(start, weights, programs), by_cell(start, weights, programs)
    assert states.shape == (2 * space.nodes, COUNT, HIDDEN)
    torch.testing.assert_close(states, expected)
    direction = torch.randn(states.shape, generator=seeded(8), dtype=torch.float64)
    inputs = [*start, *weights]
    found, wanted = (
        torch.autograd.grad(each, inputs, direction, allow_unused=True, materialize_grads=True)
        for each in (states, expected)
    )
    for name, left, right in zip([*LSTMStart._fields, *LSTMWeights._fields], found, wanted, strict=True):
        torch.testing.assert_close(left, right, msg=lambda text, name=name: f"{name}: {text}")


def test_steps_one_by_one_give_the_states_of_the_whole() -> None:
    start, weights = parts()
    programs = SPACE.uniform(COUNT, seeded())
    with torch.no_grad():
        recurrence = Recurrence(start, weights, COUNT, SPACE.nodes)
        for node in range(SPACE.nodes):
            recurrence.read_operator(node, weights.operators[programs.operators[:, node]])
            if node + 1 < SPACE.nodes:
                recurrence.read_operands(node, anchor_rows(programs.operands[:, node], LEAVES))
    assert torch.equal(recurrence.states, unroll(start, weights, programs))


def test_scores_and_gradients_are_those_of_attention_written_down() -> None:
    nodes = 4
    keys, queries = random(LEAVES + nodes - 1, COUNT, HIDDEN, seed=1), random(nodes, COUNT, HIDDEN, seed=2)
    weight = random(HIDDEN, seed=3)
    scores = attend_earlier(keys, queries, weight)
    expected = (torch.tanh(keys[None] + queries[:, None]) * weight).sum(-1)
    earlier = torch.arange(len(keys)) < LEAVES + torch.arange(nodes)[:, None]
    expected = expected * earlier[..., None]
    torch.testing.assert_close(scores, expected)
    direction = torch.randn(scores.shape, generator=seeded(4), dtype=torch.float64)
    found, wanted = (torch.autograd.grad(each, [keys, queries, weight], direction) for each in (scores, expected))
    for left, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(left, right)
