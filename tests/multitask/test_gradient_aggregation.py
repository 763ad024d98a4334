import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, distributed, nn
from torch import multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.multitask.gradient_aggregation import GradientAggregation
from lightning_modules.multitask.weighting import ConstantWeights, TaskWeighting

aggregation = pytest.importorskip("torchjd.aggregation", reason="torchjd is optional")


class TwoTasks(pl.LightningModule):
    """A shared layer, one layer a task, and both tasks' last layers in one parameter."""

    def __init__(self, weighting: TaskWeighting) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.bottom = nn.Linear(3, 4)
        self.own = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.last = nn.Parameter(torch.zeros(2, 4))
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)
        self.weighting = weighting
        self.weighting.setup(2)

    def task_losses(self, x: Tensor, y: Tensor) -> Tensor:
        shared = torch.tanh(self.bottom(x))
        predictions = [torch.tanh(own(shared)) @ last for own, last in zip(self.own, self.last, strict=True)]
        return (torch.stack(predictions, dim=1) - y).square().mean(0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.weighting(self.task_losses(x, y))

    def training_step(self, batch: Sequence[Tensor]) -> Tensor:
        return self(*batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def rows(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, generator=generator), torch.randn(n, 2, generator=generator)


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def split_gradients(model: TwoTasks, gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the gradients of the shared layer, and those of all others, each as one vector."""
    named = dict(zip([name for name, _ in model.named_parameters()], gradients, strict=True))
    shared = [gradient.flatten() for name, gradient in named.items() if name.startswith("bottom")]
    return torch.cat(shared), torch.cat([each.flatten() for name, each in named.items() if "bottom" not in name])


def task_gradients(model: TwoTasks) -> tuple[Tensor, Tensor]:
    options = {"retain_graph": True, "materialize_grads": True, "allow_unused": True}
    parameters = list(model.parameters())
    each = [torch.autograd.grad(loss, parameters, **options) for loss in model.task_losses(*rows())]
    shared, others = zip(*[split_gradients(model, gradients) for gradients in each], strict=True)
    return torch.stack(shared), torch.stack(others)


@pytest.mark.parametrize(("name", "options"), [("UPGrad", {}), ("MGDA", {}), ("PCGrad", {}), ("CAGrad", {"c": 0.5})])
def test_shared_parameters_get_what_the_library_makes_of_their_gradients_and_others_the_mean(
    name: str, options: dict[str, float]
) -> None:
    model = TwoTasks(GradientAggregation(name, options))
    jacobian, others = task_gradients(model)
    assert float(jacobian[0] @ jacobian[1]) < 0  # they conflict, or there would be nothing to see
    direction = getattr(aggregation, name)(**options)(jacobian)
    assert not torch.allclose(direction, jacobian.mean(0), rtol=1e-2)
    shared, others_gradient = split_gradients(model, gradients(model, model(*rows())))
    torch.testing.assert_close(shared, direction)
    torch.testing.assert_close(others_gradient, others.mean(0))


def test_upgrad_descends_for_both_tasks_in_conflict() -> None:
    model = TwoTasks(GradientAggregation("UPGrad"))
    jacobian, _ = task_gradients(model)
    assert float((jacobian @ jacobian.mean(0)).min()) < 0  # the mean does not
    shared, _ = split_gradients(model, gradients(model, model(*rows())))
    assert float((jacobian @ shared).min()) > -1e-6


@pytest.mark.parametrize("name", ["UPGrad", "MGDA", "PCGrad", "IMTLG", "AlignedMTL"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_half_precision_aggregates_in_single_precision(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    combined = []

    def noted(self: nn.Module, jacobian: Tensor) -> Tensor:
        direction = forward(self, jacobian)
        with torch.autocast("cpu", enabled=False):
            combined.append((direction, forward(self, jacobian.float())))
        return direction

    forward = getattr(aggregation, name).forward
    monkeypatch.setattr(getattr(aggregation, name), "forward", noted)
    assert all(parameter.isfinite().all() for parameter in train(GradientAggregation(name), precision=precision))
    assert combined
    for direction, expected in combined:
        torch.testing.assert_close(direction, expected, rtol=1e-4, atol=1e-6)


def train(weighting: TaskWeighting, **options: Any) -> list[Tensor]:
    model = TwoTasks(weighting)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*rows()), batch_size=4)
    settings = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    pl.Trainer(**settings, enable_model_summary=False, max_epochs=2, **options).fit(model, loader)
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 3}, {"gradient_clip_val": 0.1}])
def test_the_mean_trains_as_constant_weights_do(options: dict[str, Any]) -> None:
    torch.testing.assert_close(train(GradientAggregation("Mean"), **options), train(ConstantWeights(), **options))


def test_the_value_is_the_mean_of_the_losses_also_without_gradients() -> None:
    model = TwoTasks(GradientAggregation("UPGrad"))
    expected = float(model.task_losses(*rows()).detach().mean())
    assert float(model(*rows()).detach()) == pytest.approx(expected)
    with torch.no_grad():
        assert float(model(*rows())) == pytest.approx(expected)


def test_tasks_that_share_nothing_get_the_mean() -> None:
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    weighting = GradientAggregation("MGDA")
    weighting.setup(2)
    x = torch.ones(1, 2)
    weighting(torch.cat([one(x), 5 * other(x)]).flatten()).backward()
    assert one.weight.grad.tolist() == [[0.5, 0.5]]
    assert other.weight.grad.tolist() == [[2.5, 2.5]]


def _one_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    model = TwoTasks(GradientAggregation("MGDA"))
    x, y = rows()
    loss = DistributedDataParallel(model)(x[rank * 6 : rank * 6 + 6], y[rank * 6 : rank * 6 + 6])
    torch.save(gradients(model, loss), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_aggregate_as_one_with_all_rows(tmp_path: Path) -> None:
    mp.start_processes(_one_process, args=(str(tmp_path),), nprocs=2, start_method="fork")
    model = TwoTasks(GradientAggregation("MGDA"))
    expected = gradients(model, model(*rows()))
    for rank in (0, 1):
        for gradient, of_one in zip(torch.load(tmp_path / f"{rank}.pt", weights_only=True), expected, strict=True):
            torch.testing.assert_close(gradient, of_one)


def test_it_is_built_again_from_plain_values() -> None:
    weighting = GradientAggregation("CAGrad", {"c": 0.3})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--weighting", type=TaskWeighting)
    rebuilt = parser.instantiate(parser.parse_object({"weighting": weighting.spec()})).weighting
    assert (rebuilt.aggregator, rebuilt.options) == ("CAGrad", {"c": 0.3})


@pytest.mark.parametrize("name", ["upgrad", "Aggregator", "UPGradWeighting", "os"])
def test_an_unknown_aggregator_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"no aggregator '{name}'; choose one of .*PCGrad.*UPGrad"):
        GradientAggregation(name)


@pytest.mark.parametrize(("name", "options"), [("CAGrad", None), ("UPGrad", {"colour": "red"})])
def test_options_that_do_not_fit_are_refused(name: str, options: dict[str, Any] | None) -> None:
    with pytest.raises(ValueError, match=f"do not fit {name}"):
        GradientAggregation(name, options).setup(2)


@pytest.mark.skipif(find_spec("ecos") is not None, reason="the library is there")
def test_an_aggregator_without_its_library_says_which() -> None:
    with pytest.raises(ValueError, match=r"NashMTL needs libraries that are not installed: .*ecos"):
        GradientAggregation("NashMTL").setup(2)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[torchjd\]'"):
        GradientAggregation()
