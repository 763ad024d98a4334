"""A mixture of one expert is that expert."""

import pytest
import torch

from lightning_modules.multitask import AITM, PLE, MMoE, MultiTaskModel, OMoE, SharedBottom
from lightning_modules.multitask.aitm import Transfer
from tests.multitask.multitask_helpers import build, planted


@pytest.mark.parametrize("model_class", [OMoE, MMoE])
@pytest.mark.parametrize("training", [True, False])
def test_a_mixture_of_one_expert_is_a_shared_bottom(model_class: type[MultiTaskModel], training: bool) -> None:
    mixture, shared = build(model_class, num_experts=1, dropout=0.0), build(SharedBottom, dropout=0.0)
    shared.embedding.load_state_dict(mixture.embedding.state_dict())
    shared.towers.load_state_dict(mixture.towers.state_dict())
    shared.bottom.load_state_dict(mixture.experts.state_dict())
    batch = planted()
    inputs = batch.categorical, batch.numerical
    expected = shared.train(training)(*inputs)
    torch.testing.assert_close(mixture.train(training)(*inputs), expected)


def test_mmoe_with_equal_gates_is_omoe() -> None:
    one, many = build(OMoE).eval(), build(MMoE).eval()
    for name in ("embedding", "experts", "towers"):
        getattr(many, name).load_state_dict(getattr(one, name).state_dict())
    gate = one.gates.linear
    many.gates.linear.load_state_dict({"weight": gate.weight.repeat(2, 1), "bias": gate.bias.repeat(2)})
    batch = planted()
    inputs = batch.categorical, batch.numerical
    torch.testing.assert_close(many(*inputs), one(*inputs))


def test_ple_written_out_path_by_path() -> None:
    model, batch = build(PLE).eval(), planted()
    inputs = model.embedding(batch.categorical, batch.numerical).flatten(1)
    click, cart, shared = inputs, inputs, inputs
    first, second = model.extraction
    for layer in (first, second):
        own = [layer.experts[0](click)[:, 0], layer.experts[1](cart)[:, 0]]
        common = layer.experts[2](shared)[:, 0]
        gates = [torch.softmax(layer.task_gates[k].linear(path), dim=1) for k, path in enumerate((click, cart))]
        if layer is first:
            weights = torch.softmax(layer.shared_gate.linear(shared), dim=1)
            shared = weights[:, :1] * own[0] + weights[:, 1:2] * own[1] + weights[:, 2:] * common
        click, cart = (gate[:, :1] * each + gate[:, 1:] * common for gate, each in zip(gates, own, strict=True))
    assert second.shared_gate is None
    expected = model.towers(torch.stack([click, cart], dim=1)).squeeze(-1)
    torch.testing.assert_close(model(batch.categorical, batch.numerical), expected)


def test_attention_weights_of_aitm_add_up_to_one_and_mix_the_values() -> None:
    transfer, pairs = Transfer(4), torch.randn(9, 2, 4)
    weights = transfer.weights(pairs)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(9))
    scores = (transfer.key(pairs) * transfer.query(pairs)).sum(dim=2) / 2.0
    torch.testing.assert_close(weights[:, 0], torch.sigmoid(scores[:, 0] - scores[:, 1]))
    value = transfer.value(pairs)
    torch.testing.assert_close(transfer(pairs), weights[:, :1] * value[:, 0] + weights[:, 1:] * value[:, 1])


def test_aitm_hands_on_from_every_task_to_the_next_alone() -> None:
    # In so narrow a tower all units may be dead.
    torch.manual_seed(0)
    model, batch = build(AITM, num_tasks=3).eval(), planted(num_tasks=3)
    inputs = batch.categorical, batch.numerical
    before = model(*inputs)
    with torch.no_grad():
        model.handovers[1].bias.add_(3.0)
    changed = (model(*inputs) - before).abs().sum(dim=0) > 0
    assert changed.tolist() == [False, False, True]
    before = model(*inputs)
    with torch.no_grad():
        model.handovers[0].bias.add_(3.0)
    changed = (model(*inputs) - before).abs().sum(dim=0) > 0
    assert changed.tolist() == [False, True, True]
