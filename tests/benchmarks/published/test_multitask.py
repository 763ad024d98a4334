"""The published models as re-stated for the benchmarks compute what ours do."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from benchmarks.published import multitask as published
from datamodules.batches import ImpressionBatch
from lightning_modules import multitask
from lightning_modules.multitask import MultiTaskModel

FIELD_SIZES, NUM_NUMERICAL, TASKS = (10, 4, 90), 2, ("click", "pay")
SIZES = published.Sizes(
    FIELD_SIZES,
    NUM_NUMERICAL,
    len(TASKS),
    embedding_dim=4,
    bottom_dims=(8, 6),
    tower_dims=(5,),
    dropout=0,
    num_experts=4,
)
EXPERTS = {"MMoE": {"num_experts": 4}, "PLE": {"num_specific_experts": 2, "num_shared_experts": 2}}


class Parts(NamedTuple):
    """Published tensors of which one of ours is made, by stacking or by joining them."""

    join: Callable[..., Tensor]
    tensors: list[Tensor]


def layers_of(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def parallel(prefix: str, networks: Iterable[nn.Module]) -> dict[str, Parts]:
    """Return what makes a ParallelMLP of several networks."""
    parts: dict[str, Parts] = {}
    for index, layers in enumerate(zip(*(layers_of(each, nn.Linear) for each in networks), strict=True)):
        for name in ("weight", "bias"):
            parts[f"{prefix}.layers.{index}.{name}"] = Parts(torch.stack, [getattr(each, name) for each in layers])
    for index, layers in enumerate(zip(*(layers_of(each, nn.BatchNorm1d) for each in networks), strict=True)):
        for name in ("weight", "bias", "running_mean", "running_var"):
            parts[f"{prefix}.norms.{index}.{name}"] = Parts(torch.cat, [getattr(each, name) for each in layers])
    return parts


def gates(prefix: str, layers: Iterable[nn.Module]) -> dict[str, Parts]:
    """Return what makes the Linear layer of several gates."""
    return {
        f"{prefix}.linear.{name}": Parts(torch.cat, [each.get_parameter(f"0.{name}") for each in layers])
        for name in ("weight", "bias")
    }


def shared_bottom(model: published.SharedBottom) -> dict[str, Parts]:
    return parallel("bottom", [model.bottom])


def mmoe(model: published.MMoE) -> dict[str, Parts]:
    return parallel("experts", model.experts) | gates("gates", model.gates)


def ple(model: published.PLE) -> dict[str, Parts]:
    parts: dict[str, Parts] = {}
    for index, layer in enumerate(model.layers):
        for path, experts in enumerate([*layer.task_experts, layer.shared_experts]):
            parts |= parallel(f"extraction.{index}.experts.{path}", experts)
        for task, gate in enumerate(layer.task_gates):
            parts |= gates(f"extraction.{index}.task_gates.{task}", [gate])
        if index + 1 < len(model.layers):
            parts |= gates(f"extraction.{index}.shared_gate", [layer.shared_gate])
    return parts


LAYOUTS: dict[str, Callable] = {"SharedBottom": shared_bottom, "MMoE": mmoe, "PLE": ple}


class Twins(NamedTuple):
    """The same model twice, with what makes each of our tensors from the published ones."""

    theirs: published.MultiTask
    ours: MultiTaskModel
    layout: dict[str, Parts]


@pytest.fixture(params=list(LAYOUTS))
def twins(request: pytest.FixtureRequest) -> Twins:
    torch.manual_seed(0)
    name = request.param
    theirs = getattr(published, name)(SIZES).double()
    sizes = {"embedding_dim": 4, "bottom_dims": (8, 6), "tower_dims": (5,), "dropout": 0}
    ours = getattr(multitask, name)(FIELD_SIZES, NUM_NUMERICAL, TASKS, **sizes, **EXPERTS.get(name, {})).double()
    theirs(rows().categorical, rows().numerical.double())  # running statistics that are not those of the start
    layout = LAYOUTS[name](theirs) | parallel("towers", theirs.towers)
    layout |= {
        f"embedding.{part}": Parts(torch.cat, [theirs.embedding.get_parameter(part)])
        for part in ("table.weight", "numerical.weight", "numerical.bias")
    }
    counters = {name: each for name, each in ours.state_dict().items() if name.endswith("num_batches_tracked")}
    ours.load_state_dict({name: parts.join(parts.tensors) for name, parts in layout.items()} | counters)
    return Twins(theirs, ours, layout)


def rows(count: int = 64) -> ImpressionBatch:
    generator = torch.Generator().manual_seed(0)
    categorical = torch.stack([torch.randint(0, size, (count,), generator=generator) for size in FIELD_SIZES], dim=1)
    label = torch.randint(0, 2, (count, len(TASKS)), generator=generator).double()
    number = torch.arange(count)
    numerical = torch.randn(count, NUM_NUMERICAL, generator=generator, dtype=torch.float64)
    return ImpressionBatch(categorical, numerical, label, number, number, number)


def test_probabilities_are_equal_in_evaluation(twins: Twins) -> None:
    batch = rows()
    probabilities = torch.stack(twins.theirs.eval()(batch.categorical, batch.numerical), dim=1)
    torch.testing.assert_close(twins.ours.eval().predict_step(batch), probabilities)
    assert probabilities.std() > 1e-3


def test_gradients_of_the_training_loss_are_equal(twins: Twins) -> None:
    batch = rows()
    expected = published.mean_loss(twins.theirs(batch.categorical, batch.numerical), batch.label)
    loss = twins.ours.weighting(twins.ours.mean_task_losses(batch))
    torch.testing.assert_close(loss, expected)
    expected.backward()
    loss.backward()
    for name, parameter in twins.ours.named_parameters():
        join, tensors = twins.layout[name]
        gradient = join([each.grad for each in tensors])
        # BatchNorm takes such a bias away: what is left of its gradient there is rounding.
        ours = parameter.grad if parameter.requires_grad else torch.zeros_like(gradient)
        torch.testing.assert_close(ours, gradient, msg=name)


def test_only_a_gate_that_nothing_reads_is_missing(twins: Twins) -> None:
    read = {id(tensor) for parts in twins.layout.values() for tensor in parts.tensors}
    missing = [name for name, each in twins.theirs.named_parameters() if id(each) not in read]
    last = "layers.1.shared_gate.0"
    assert missing == ([f"{last}.weight", f"{last}.bias"] if isinstance(twins.theirs, published.PLE) else [])


def test_the_loader_hands_out_every_row_once_in_another_order() -> None:
    batch = rows(50)._replace(numerical=torch.arange(100.0).view(50, 2))
    batches = list(published.row_loader(batch, 20))
    assert [len(label) for *_, label in batches] == [20, 20, 10]
    categorical, numerical, label = (torch.cat(column) for column in zip(*batches, strict=True))
    order = (numerical[:, 0] / 2).long()
    assert not torch.equal(order, torch.arange(50))
    assert torch.equal(order.sort().values, torch.arange(50))
    assert torch.equal(categorical, batch.categorical[order])
    assert torch.equal(label, batch.label[order])


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    batch, model = rows(256), published.SharedBottom(SIZES)
    batch = batch._replace(numerical=batch.numerical.float(), label=(batch.categorical[:, :2] > 3).float())
    first = published.train(model, batch, 32)
    for _ in range(20):
        last = published.train(model, batch, 32)
    assert last < 0.8 * first
