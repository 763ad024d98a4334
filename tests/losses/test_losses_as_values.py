"""All losses are copied, described as plain values and built from them again."""

import copy
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_modules import losses
from lightning_modules.losses import InversePropensity, Loss
from lightning_modules.multitask import SharedBottom
from tests.losses.loss_cases import ALL, rows, title, values_of_rows
from tests.multitask.multitask_helpers import build, loader, planted
from tests.trainer_helpers import quiet_trainer

every_loss = pytest.mark.parametrize("loss", ALL, ids=title)
pytestmark = pytest.mark.usefixtures("stored_agent")


def assert_same(again: Any, loss: Any) -> None:
    assert type(again) is type(loss)
    assert again.spec() == loss.spec()
    assert torch.equal(values_of_rows(again, *rows()), values_of_rows(loss, *rows()))


def parser_of(loss: Any) -> ArgumentParser:
    """Return a parser that takes a loss as the options of models do."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=Loss if isinstance(loss, Loss) else InversePropensity)
    return parser


@every_loss
def test_a_copy_is_the_same_loss(loss: Any) -> None:
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert_same(again, loss)


@every_loss
def test_nothing_goes_into_a_checkpoint(loss: Any) -> None:
    values_of_rows(loss, *rows())
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []


@every_loss
def test_its_description_is_plain_and_builds_it_again(loss: Any) -> None:
    file = io.BytesIO()
    torch.save(loss.spec(), file)
    file.seek(0)
    spec = torch.load(file, weights_only=True)
    package = type(loss).__module__.rpartition(".")[0]
    assert spec["class_path"] == f"{package}.{type(loss).__name__}"
    parser = parser_of(loss)
    assert_same(parser.instantiate(parser.parse_object({"loss": spec})).loss, loss)


@every_loss
def test_a_configuration_file_builds_it_again(loss: Any) -> None:
    parser = parser_of(loss)
    text = parser.dump(parser.parse_object({"loss": loss.spec()}))
    assert_same(parser.instantiate(parser.parse_string(text)).loss, loss)


@every_loss
def test_the_command_line_builds_it_by_its_name(loss: Any) -> None:
    parser = parser_of(loss)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in loss.init_args().items()}
    arguments = [f"--loss={loss.spec()['class_path']}", *(f"--loss.{name}={text}" for name, text in texts.items())]
    assert_same(parser.instantiate(parser.parse_args(arguments)).loss, loss)


@pytest.mark.parametrize("loss", [loss for loss in ALL if isinstance(loss, Loss)], ids=title)
def test_the_checkpoint_of_a_model_holds_it(loss: Loss, tmp_path: Path) -> None:
    model = build(SharedBottom, loss=copy.deepcopy(loss))
    trainer = quiet_trainer(max_epochs=1)
    if loss.wants == "difference":
        # A checkpoint of earlier versions may hold it all the same.
        trainer.strategy.connect(model)
    else:
        trainer.fit(model, loader(planted()))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    stored = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert stored["hyper_parameters"]["loss"] == loss.spec()
    assert stored["state_dict"].keys() == build(SharedBottom).state_dict().keys()
    loaded = SharedBottom.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert_same(loaded.loss, loss)


@pytest.mark.parametrize(
    "build_impossible",
    [
        lambda: losses.Hinge(margin=0.0),
        lambda: losses.Focal(gamma=-1.0),
        lambda: losses.MaxR(smoothing=0.0),
        lambda: losses.SumR(smoothing=float("nan")),
        lambda: losses.LogMin(smoothing=-1e-6),
    ],
)
def test_impossible_arguments_are_refused(build_impossible: Any) -> None:
    with pytest.raises(ValueError, match=r"must be >=? 0, got"):
        build_impossible()


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_a_smoothing_that_leaves_no_label_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\)"):
        losses.LabelSmoothing(smoothing)


@pytest.mark.parametrize(
    "spec",
    [
        {"class_path": "collections.Counter"},
        {"class_path": "lightning_modules.losses.Focal", "init_args": {"gama": 1.0}},
        {"class_path": "lightning_modules.losses.NoSuchLoss"},
    ],
)
def test_a_spec_of_something_else_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not describe a loss"):
        Loss.from_spec(spec)


class Weighted(Loss):
    """A loss made of another."""

    def __init__(self, inner: Loss, weight: float = 2.0) -> None:
        super().__init__()
        self.inner = inner
        self.weight = weight

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.weight * self.inner(prediction, label)


def test_a_loss_within_a_loss_is_described_and_rebuilt() -> None:
    spec = Weighted(losses.Focal(gamma=1.0), weight=0.5).spec()
    assert spec["init_args"]["inner"] == losses.Focal(gamma=1.0).spec()
    assert Loss.from_spec(spec).spec() == spec


def test_a_loss_without_a_value_is_abstract() -> None:
    class Unfinished(Loss):
        """Has no forward."""

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("loss", "other"),
    [
        (losses.Focal(), losses.Focal(gamma=1.0)),
        (losses.FormulaLoss("pred"), losses.FormulaLoss("label")),
        (losses.FormulaLoss("pred"), losses.FormulaLoss("pred", "autolossgen")),
        (losses.MSE(), losses.BCE()),
    ],
)
def test_different_losses_have_different_keys(loss: Loss, other: Loss) -> None:
    assert loss.identity == copy.deepcopy(loss).identity
    assert loss.identity != other.identity


def test_an_argument_that_is_not_plain_is_named() -> None:
    with pytest.raises(TypeError, match="override init_args"):
        Weighted(losses.BCE(), weight=torch.ones(1)).spec()  # type: ignore[arg-type]
