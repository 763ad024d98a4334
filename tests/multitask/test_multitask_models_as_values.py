"""All multi-task models are stored, copied, described as plain values and built from them again."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch.optim import SGD

from lightning_modules.losses import MSE, Focal, FormulaLoss, Loss
from lightning_modules.multitask import ConstantWeights, MMoE, MultiTaskModel
from tests.multitask.multitask_helpers import MODELS, build, loader, planted
from tests.trainer_helpers import quiet_trainer

every_model = pytest.mark.parametrize("model_class", MODELS)


def trained(model: Any) -> Any:
    """Return the model after an epoch, with statistics of its own in every BatchNorm."""
    quiet_trainer(max_epochs=1).fit(model, loader(planted(256)))
    return model


def assert_same(again: Any, model: Any) -> None:
    """Compare bit for bit all that is stored, and what it predicts."""
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    rows = planted()
    assert torch.equal(again.eval().predict_step(rows), model.eval().predict_step(rows))


@every_model
def test_a_checkpoint_of_plain_data_rebuilds_the_model(model_class: type[MultiTaskModel], tmp_path: Path) -> None:
    losses: list[Loss] = [Focal(gamma=3.0), FormulaLoss("(pred - label)**2")]
    weighting = ConstantWeights([1.0, 0.5])
    sgd = {"optimizer": lambda parameters: SGD(parameters, lr=0.1)}
    model = build(model_class, loss=losses, weighting=weighting, **sgd)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(planted(256)))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = model_class.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert [loss.spec() for loss in loaded.loss] == [loss.spec() for loss in losses]
    assert loaded.weighting.spec() == weighting.spec()
    assert_same(loaded, model)


@every_model
def test_copies_are_the_same_model(model_class: type[MultiTaskModel]) -> None:
    model = trained(build(model_class))
    assert_same(copy.deepcopy(model), model)
    model.trainer = None
    assert_same(pickle.loads(pickle.dumps(model)), model)


@every_model
def test_its_settings_build_it_by_its_name(model_class: type[MultiTaskModel]) -> None:
    model = trained(build(model_class, num_numerical=2, dropout=0.3, batch_norm=True))
    settings = {name: value for name, value in model.hparams.items() if not name.startswith("_")}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=MultiTaskModel)
    text = parser.dump(parser.parse_object({"model": {"class_path": model_class.__name__, "init_args": settings}}))
    again = parser.instantiate(parser.parse_string(text)).model
    assert type(again) is model_class
    again.load_state_dict(model.state_dict())
    assert_same(again, model)


def test_a_replaced_loss_is_the_one_that_is_stored(tmp_path: Path) -> None:
    model = build(MMoE)
    model.loss = nn.ModuleList([MSE(), FormulaLoss("1 - pred * label")])
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(planted(128)))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = MMoE.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert [loss.spec() for loss in loaded.loss] == [loss.spec() for loss in model.loss]
