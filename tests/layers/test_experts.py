import math

import pytest
import torch
from torch import nn

from lightning_modules.layers import MLP, FieldEmbedding, Gates, ParallelLinear, ParallelMLP, experts, mix


def with_the_same_weights(parallel: ParallelMLP, loop: list[MLP]) -> None:
    """Give the MLPs of a loop the weights of the parallel ones."""
    for index, mlp in enumerate(loop):
        linear = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        norms = [layer for layer in mlp if isinstance(layer, nn.BatchNorm1d)]
        for layer, source in zip(linear, parallel.layers, strict=True):
            layer.load_state_dict({"weight": source.weight[index], "bias": source.bias[index]})
        for layer, source in zip(norms, parallel.norms, strict=True):
            size = layer.num_features
            part = slice(index * size, (index + 1) * size)
            state = {name: value if value.dim() == 0 else value[part] for name, value in source.state_dict().items()}
            layer.load_state_dict(state)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train even the smallest networks one after the other."""
    monkeypatch.setattr(experts, "_MOST_UNITS", 1)


@pytest.mark.parametrize("most_units", [1, 2**20])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("shared_input", [True, False])
@pytest.mark.parametrize("output_features", [None, 1])
def test_parallel_mlps_equal_a_loop(
    most_units: int,
    batch_norm: bool,
    shared_input: bool,
    output_features: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(experts, "_MOST_UNITS", most_units)
    options = {"batch_norm": batch_norm, "output_features": output_features}
    parallel = ParallelMLP(3, 5, (7, 4), **options).double()
    for norm in parallel.norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    loop = [MLP(5, (7, 4), **options).double() for _ in range(3)]
    with_the_same_weights(parallel, loop)
    inputs = torch.randn((6, 5) if shared_input else (6, 3, 5), dtype=torch.float64, requires_grad=True)
    copies = inputs.detach().clone().requires_grad_()
    outputs = parallel(inputs)
    looped = torch.stack([mlp(copies if shared_input else copies[:, k]) for k, mlp in enumerate(loop)], dim=1)
    torch.testing.assert_close(outputs, looped)
    outputs.square().sum().backward()
    looped.square().sum().backward()
    torch.testing.assert_close(inputs.grad, copies.grad)
    for index, mlp in enumerate(loop):
        linear = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        for layer, source in zip(linear, parallel.layers, strict=True):
            torch.testing.assert_close(source.weight.grad[index], layer.weight.grad)
            assert source.bias.requires_grad == layer.bias.requires_grad
            if layer.bias.requires_grad:
                torch.testing.assert_close(source.bias.grad[index], layer.bias.grad)
    for name, buffer in parallel.named_buffers():
        _, layer, statistic = name.split(".")
        each = [[norm for norm in mlp if isinstance(norm, nn.BatchNorm1d)][int(layer)] for mlp in loop]
        expected = [norm.get_buffer(statistic) for norm in each]
        torch.testing.assert_close(buffer, expected[0] if buffer.dim() == 0 else torch.cat(expected))
    evaluated = torch.stack([mlp.eval()(copies if shared_input else copies[:, k]) for k, mlp in enumerate(loop)], 1)
    torch.testing.assert_close(parallel.eval()(inputs), evaluated)


def test_layers_start_like_linear_ones() -> None:
    torch.manual_seed(0)
    layer = ParallelLinear(4, 100, 50)
    assert layer.weight.abs().max() <= 0.1
    assert float(layer.weight.detach().std()) == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    assert layer.bias.abs().max() <= 0.1


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("num_networks", [1, 3])
def test_networks_one_after_the_other_drop_the_same_units(
    dropout: float, num_networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = FieldEmbedding([3, 4, 40], 2, 4).double()
    options = {"dropout": dropout, "output_features": 2}
    networks = ParallelMLP(num_networks, embedding.out_features, (7, 5), **options).double()
    categorical = torch.stack([torch.randint(0, size, (64,)) for size in (3, 4, 40)], dim=1)
    numerical = torch.randn(64, 2, dtype=torch.float64)
    parameters = [each for module in (embedding, networks) for each in module.parameters() if each.requires_grad]
    results = []
    for most_units in (1, 2**20):
        monkeypatch.setattr(experts, "_MOST_UNITS", most_units)
        torch.manual_seed(0)
        outputs = networks.read_fields(embedding, embedding(categorical, numerical), categorical)
        gradients = torch.autograd.grad(outputs.square().sum(), parameters)
        results.append([outputs, *gradients, torch.rand(1)])
    torch.testing.assert_close(*results)


@pytest.mark.usefixtures("apart")
def test_networks_apart_are_evaluated_and_frozen_as_ever() -> None:
    networks = ParallelMLP(2, 5, (4,), dropout=0.5).double()
    inputs = torch.randn(9, 5, dtype=torch.float64)
    networks(inputs)
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    frozen = networks.eval()(inputs)
    with torch.no_grad():
        torch.testing.assert_close(networks(inputs), frozen)
    assert all(torch.equal(before[name], value) for name, value in networks.state_dict().items())


@pytest.mark.parametrize("hidden", [(7, 4), ()])
def test_reading_fields_is_reading_their_vectors(hidden: tuple[int, ...]) -> None:
    embedding = FieldEmbedding([3, 40], 2, 4).double()
    parallel = ParallelMLP(3, embedding.out_features, hidden, output_features=2).double()
    categorical = torch.stack([torch.randint(0, size, (64,)) for size in (3, 40)], dim=1)
    vectors = embedding(categorical, torch.randn(64, 2, dtype=torch.float64))
    outputs = parallel.read_fields(embedding, vectors, categorical)
    assert outputs.shape == (64, 3, 2)
    torch.testing.assert_close(outputs, parallel(vectors.flatten(1)))


def test_dropout_is_of_training_alone() -> None:
    parallel = ParallelMLP(2, 5, (200,), dropout=0.5, batch_norm=False)
    inputs = torch.randn(8, 5)
    kept = parallel.eval()(inputs)
    dropped = parallel.train()(inputs)
    share = float(((dropped == 0) & (kept > 0)).sum() / (kept > 0).sum())
    assert 0.4 < share < 0.6
    torch.testing.assert_close(dropped[dropped != 0], 2 * kept[dropped != 0])


@pytest.mark.usefixtures("apart")
def test_a_single_training_row_uses_running_statistics() -> None:
    parallel = ParallelMLP(2, 5, (4,), output_features=1)
    row = torch.randn(1, 5)
    torch.testing.assert_close(parallel.train()(row), parallel.eval()(row))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((0, 8, (4,)), {}), ((2, 8, ()), {}), ((2, 8, (4, 0)), {}), ((2, 8, (4,)), {"dropout": 1.0})],
)
def test_impossible_sizes_are_refused(arguments: tuple, options: dict) -> None:
    with pytest.raises(ValueError, match=r"at least one network|positive size|dropout"):
        ParallelMLP(*arguments, **options)


def test_gates_add_up_to_one_and_are_their_formula() -> None:
    gates = Gates(5, ["click", "pay"], ["a", "b", "c"])
    inputs = torch.randn(6, 5)
    weights = gates(inputs)
    assert weights.shape == (6, 2, 3)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(6, 2))
    logits = inputs @ gates.linear.weight[3:].T + gates.linear.bias[3:]
    torch.testing.assert_close(weights[:, 1], logits.exp() / logits.exp().sum(dim=1, keepdim=True))
    torch.testing.assert_close(gates.log_weights(inputs).exp(), weights)


def test_tied_gates_are_one_layer_on_different_inputs() -> None:
    gates = Gates(5, ["click", "pay"], ["a", "b", "c"], tied=True)
    assert gates.linear.out_features == 3
    inputs = torch.randn(6, 2, 5)
    torch.testing.assert_close(gates(inputs)[:, 1], torch.softmax(gates.linear(inputs[:, 1]), dim=-1))


def test_the_mean_of_all_training_batches_is_kept_until_reset() -> None:
    gates = Gates(5, ["click", "pay"], ["a", "b"])
    batches = [torch.randn(4, 5), torch.randn(4, 5)]
    expected = torch.stack([gates(batch) for batch in batches]).mean(dim=(0, 1)).detach()
    gates.eval()(torch.randn(100, 5))
    means = dict(gates.statistics())
    assert list(means) == ["gate/click/a", "gate/click/b", "gate/pay/a", "gate/pay/b"]
    torch.testing.assert_close(torch.stack(list(means.values())), expected.flatten())
    assert not any(mean.requires_grad for mean in means.values())
    gates.reset()
    assert dict(gates.statistics()) == {}


def test_mixing_is_a_weighted_sum_of_outputs() -> None:
    weights, outputs = torch.rand(4, 2, 3), torch.randn(4, 3, 5)
    expected = sum(weights[:, :, e, None] * outputs[:, None, e] for e in range(3))
    torch.testing.assert_close(mix(weights, outputs), expected)
    torch.testing.assert_close(mix(weights, *outputs.split([2, 1], dim=1)), expected)
