from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from torch import Tensor
from torch.optim import SGD

from datamodules import SyntheticInteractions
from lightning_modules.losses import MSE, Focal, FormulaLoss, Loss
from lightning_modules.recommenders import BiasedMF, Recommender
from tests.recommenders.recommender_helpers import MODELS, build, planted_data
from tests.trainer_helpers import quiet_trainer

every_model = pytest.mark.parametrize("model_class", MODELS)


@pytest.fixture(scope="module")
def data() -> SyntheticInteractions:
    return planted_data()


def saved(model: Recommender, data: SyntheticInteractions, path: Path) -> Path:
    trainer = quiet_trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(path)
    return path


def predictions(model: Recommender, data: SyntheticInteractions) -> Tensor:
    rows = data.rows["test"]
    return model.eval()(rows.user, rows.item)


@every_model
def test_a_model_built_by_hand_comes_back_with_its_loss(
    model_class: type[Recommender], data: SyntheticInteractions, tmp_path: Path
) -> None:
    loss = FormulaLoss("max(label / pred, pred / label)", numerics="autolossgen")
    model = build(model_class, data, embedding_dim=8, loss=loss, optimizer=lambda parameters: SGD(parameters, lr=0.1))
    path = saved(model, data, tmp_path / "model.ckpt")
    loaded = model_class.load_from_checkpoint(path, weights_only=True)
    assert loaded.loss.spec() == loss.spec()
    assert loaded.user_embedding.embedding_dim == 8
    torch.testing.assert_close(predictions(loaded, data), predictions(model, data), rtol=0, atol=0)


@every_model
def test_a_loaded_model_can_be_saved_and_loaded_again(
    model_class: type[Recommender], data: SyntheticInteractions, tmp_path: Path
) -> None:
    first = saved(build(model_class, data, loss=Focal(gamma=3.0)), data, tmp_path / "first.ckpt")
    second = saved(model_class.load_from_checkpoint(first), data, tmp_path / "second.ckpt")
    assert model_class.load_from_checkpoint(second).loss.spec() == Focal(gamma=3.0).spec()


def test_the_default_load_needs_no_pickled_objects(data: SyntheticInteractions, tmp_path: Path) -> None:
    path = saved(build(BiasedMF, data, loss=MSE()), data, tmp_path / "model.ckpt")
    stored = torch.load(path, weights_only=True)["hyper_parameters"]
    assert stored["loss"] == MSE().spec()
    assert "optimizer" not in stored
    assert isinstance(BiasedMF.load_from_checkpoint(path).loss, MSE)


def test_a_replaced_loss_is_the_one_that_is_stored(data: SyntheticInteractions, tmp_path: Path) -> None:
    model = build(BiasedMF, data)
    model.loss = FormulaLoss("(pred - label)**2")
    path = saved(model, data, tmp_path / "model.ckpt")
    assert BiasedMF.load_from_checkpoint(path).loss.spec() == model.loss.spec()


@pytest.mark.parametrize("loss", [Focal(gamma=1.0), FormulaLoss("1 - pred * label")], ids=["Focal", "FormulaLoss"])
def test_weights_load_into_a_model_with_another_loss(loss: Loss, data: SyntheticInteractions, tmp_path: Path) -> None:
    path = saved(build(BiasedMF, data), data, tmp_path / "model.ckpt")
    loaded = BiasedMF.load_from_checkpoint(path, loss=loss)
    assert loaded.loss.spec() == loss.spec()
    by_state = build(BiasedMF, data, loss=loss)
    by_state.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    torch.testing.assert_close(predictions(by_state, data), predictions(loaded, data), rtol=0, atol=0)


class LinkedCLI(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for size in ("num_users", "num_items"):
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")


def command_line(*arguments: str) -> Any:
    options = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return LinkedCLI(
        Recommender,
        SyntheticInteractions,
        subclass_mode_model=True,
        save_config_callback=None,
        trainer_defaults=options,
        args=[*arguments, "--data.num_users=60", "--data.num_items=40", "--data.num_interactions=2000"],
    )


MODEL_OPTIONS = [
    "--model=BiasedMF",
    "--model.embedding_dim=8",
    "--model.loss=FormulaLoss",
    "--model.loss.formula=max(label / pred, pred / label)",
    "--model.loss.numerics=autolossgen",
    "--model.optimizer=torch.optim.SGD",
    "--model.optimizer.lr=0.25",
]


def test_a_model_from_the_command_line_comes_back_with_loss_and_optimizer(tmp_path: Path) -> None:
    cli = command_line("fit", *MODEL_OPTIONS, "--trainer.fast_dev_run=2")
    path = tmp_path / "model.ckpt"
    cli.trainer.save_checkpoint(path)
    stored = torch.load(path, weights_only=True)["hyper_parameters"]
    assert stored["loss"] == FormulaLoss("max(label / pred, pred / label)", numerics="autolossgen").spec()

    loaded = BiasedMF.load_from_checkpoint(path)
    assert loaded.loss.spec() == stored["loss"]
    assert loaded.user_embedding.weight.shape == (cli.datamodule.num_users, 8)
    optimizer = loaded.configure_optimizers()
    assert isinstance(optimizer, SGD)
    assert optimizer.param_groups[0]["lr"] == 0.25
    replaced = BiasedMF.load_from_checkpoint(path, loss=Focal(gamma=1.0))
    assert replaced.loss.spec() == Focal(gamma=1.0).spec()


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_command_line_takes_checkpoints_of_both_kinds(by_hand: bool, tmp_path: Path) -> None:
    cli = command_line("fit", *MODEL_OPTIONS, "--trainer.fast_dev_run=2")
    path = tmp_path / "model.ckpt"
    if by_hand:
        model = BiasedMF(cli.datamodule.num_users, cli.datamodule.num_items, embedding_dim=8, loss=cli.model.loss)
        saved(model, cli.datamodule, path)
    else:
        cli.trainer.save_checkpoint(path)
    tested = command_line("test", "--model=BiasedMF", f"--ckpt_path={path}")
    assert tested.model.loss.spec() == cli.model.loss.spec()
    assert 0.0 < float(tested.trainer.callback_metrics["test/auc"]) < 1.0
