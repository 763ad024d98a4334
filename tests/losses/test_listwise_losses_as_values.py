"""All listwise losses are copied, described as plain values and built from them again."""

import copy
import io
import json
import pickle
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_modules import losses
from lightning_modules.cli.registry import named
from lightning_modules.losses import BCE, ListwiseLoss, Loss, LossObject
from tests.losses.listwise_cases import LISTWISE, offered_listwise, prepared, scored

every_loss = pytest.mark.parametrize("loss", [case.loss for case in LISTWISE], ids=lambda loss: loss.title)


def assert_same(again: Any, loss: ListwiseLoss) -> None:
    assert type(again) is type(loss)
    assert again.spec() == loss.spec()
    assert again.identity == loss.identity
    assert torch.equal(prepared(again).of_batch(scored()), prepared(loss).of_batch(scored()))


def parser() -> ArgumentParser:
    """Return a parser that takes a loss as the options of models do."""
    built = ArgumentParser(exit_on_error=False)
    built.add_argument("--loss", type=ListwiseLoss)
    return built


@every_loss
def test_a_copy_is_the_same_loss(loss: ListwiseLoss) -> None:
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert_same(again, loss)
    ready = prepared(loss)
    expected = ready.of_batch(scored())
    for again in (copy.deepcopy(ready), pickle.loads(pickle.dumps(ready))):
        assert torch.equal(again.of_batch(scored()), expected)


@every_loss
def test_nothing_goes_into_the_weights_of_a_checkpoint(loss: ListwiseLoss) -> None:
    ready = prepared(loss).train()
    ready.of_batch(scored())
    assert ready.state_dict() == {}
    assert list(ready.parameters()) == []


@every_loss
def test_its_description_is_plain_and_builds_it_again(loss: ListwiseLoss) -> None:
    file = io.BytesIO()
    torch.save(loss.spec(), file)
    file.seek(0)
    spec = torch.load(file, weights_only=True)
    assert spec["class_path"] == f"lightning_modules.losses.{type(loss).__name__}"
    assert_same(ListwiseLoss.from_spec(spec), loss)
    assert_same(type(loss).from_spec(spec), loss)


@every_loss
def test_a_configuration_file_builds_it_again(loss: ListwiseLoss) -> None:
    text = parser().dump(parser().parse_object({"loss": loss.spec()}))
    assert_same(parser().instantiate(parser().parse_string(text)).loss, loss)


@every_loss
def test_the_command_line_builds_it_by_its_short_name(loss: ListwiseLoss) -> None:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in loss.init_args().items()}
    arguments = [f"--loss={type(loss).__name__}", *(f"--loss.{name}={text}" for name, text in texts.items())]
    assert_same(parser().instantiate(parser().parse_args(arguments)).loss, loss)


def test_options_of_listwise_losses_name_them_all_and_no_others() -> None:
    assert {*named(ListwiseLoss).values()} == offered_listwise()
    assert not {*named(Loss)} & {*named(ListwiseLoss)}
    assert {*named(LossObject)} == {*named(Loss), *named(ListwiseLoss)}


def test_a_loss_of_the_other_kind_is_refused() -> None:
    for kind, spec in ((ListwiseLoss, BCE().spec()), (Loss, losses.SampledSoftmax().spec())):
        with pytest.raises(ValueError, match="does not describe a loss"):
            kind.from_spec(spec)


@pytest.mark.parametrize("kind", sorted(offered_listwise(), key=lambda kind: kind.__name__))
@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan"), float("inf")])
def test_a_temperature_is_above_zero_and_finite(kind: Any, temperature: float) -> None:
    if "temperature" in kind().init_args():
        with pytest.raises(ValueError, match=r"temperature must be > 0( and finite)?, got (0|-0.1|nan|inf)"):
            kind(temperature=temperature)


def test_a_loss_without_a_value_is_abstract() -> None:
    class UnfinishedListwise(ListwiseLoss):
        """Has no forward."""

    with pytest.raises(TypeError, match="abstract"):
        UnfinishedListwise()  # type: ignore[abstract]
