"""Every multi-task model takes the options that are declared once for all of them."""

import inspect
import warnings
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from lightning_modules.losses import BCE
from lightning_modules.multitask import ConstantWeights, MultiTaskModel
from lightning_modules.multitask.tower_model import TowerModel
from tests.multitask.multitask_helpers import MODELS

DEFAULTS: dict[str, Any] = {
    "embedding_dim": 128,
    "bottom_dims": (512, 256),
    "tower_dims": (128, 64),
    "dropout": 0.2,
    "batch_norm": True,
    "loss": None,
    "weighting": None,
    "optimizer": None,
}


@pytest.mark.parametrize("model_class", MODELS)
def test_the_parser_offers_the_options_of_the_base_classes_with_their_descriptions(
    model_class: type[MultiTaskModel],
) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(model_class, "model")
    offered = {action.dest.removeprefix("model."): action for action in parser._actions}
    assert {name: offered[name].default for name in DEFAULTS} == DEFAULTS
    assert all(len(str(offered[name].help)) > 20 for name in DEFAULTS)
    assert "options" not in offered
    own = {name for name in inspect.signature(model_class).parameters if name != "options"}
    assert own <= {*offered}


@pytest.mark.parametrize("model_class", MODELS)
def test_an_option_that_does_not_exist_is_refused(model_class: type[MultiTaskModel]) -> None:
    with pytest.raises(TypeError, match="embeding_dim"):
        model_class((3,), 0, ("click",), embeding_dim=4)  # type: ignore[call-arg]
    assert issubclass(model_class, TowerModel)


@pytest.mark.parametrize("model_class", MODELS)
def test_hyper_parameters_hold_options_and_defaults_of_all_classes(model_class: type[MultiTaskModel]) -> None:
    hparams = model_class((3,), 0, ("click",), embedding_dim=4).hparams
    assert hparams["embedding_dim"] == 4
    expected = {name: DEFAULTS[name] for name in ("bottom_dims", "tower_dims", "dropout", "batch_norm")}
    assert {name: hparams[name] for name in expected} == expected
    assert hparams["loss"]["class_path"].endswith("BCE")
    assert hparams["weighting"]["class_path"].endswith("ConstantWeights")
    assert "optimizer" not in hparams


@pytest.mark.parametrize("model_class", MODELS)
def test_objects_are_saved_as_plain_values_without_a_warning(model_class: type[MultiTaskModel]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = model_class((3,), 0, ("click",), loss=BCE(), weighting=ConstantWeights([2.0]))
    assert model.hparams["weighting"]["init_args"] == {"weights": [2.0]}
