import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.optim import SGD, Adam

from callbacks import LastCheckpoint
from lightning_modules.layers import Gates
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss, Loss
from lightning_modules.multitask import (
    PLE,
    MultiTaskModel,
    SharedBottom,
    UncertaintyWeighting,
)
from tests.multitask.multitask_helpers import MODELS, TASKS, build, loader, planted
from tests.trainer_helpers import quiet_trainer

every_model = pytest.mark.parametrize("model_class", MODELS)


class Steps(pl.Callback):
    """Keeps the loss of every step, epoch by epoch."""

    def __init__(self) -> None:
        self.losses: list[list[float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses.append([])

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.losses[-1].append(float(arguments[2]["loss"]))


@every_model
def test_training_lowers_the_loss_and_raises_the_validation_auc(model_class: type[MultiTaskModel]) -> None:
    torch.manual_seed(0)
    train, validation = planted(1024), planted(1024, seed=1)
    model = build(model_class, dropout=0.0, optimizer=lambda parameters: Adam(parameters, lr=0.01))
    (before,) = quiet_trainer().validate(model, loader(validation), verbose=False)
    steps = Steps()
    trainer = quiet_trainer(max_epochs=5, callbacks=[steps])
    trainer.fit(model, loader(train, shuffle=True), loader(validation))
    epochs = [sum(losses) / len(losses) for losses in steps.losses]
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert epochs[-1] < epochs[0] - 0.1
    assert logged["val/auc"] > max(before["val/auc"], 0.5) + 0.1
    assert logged["train/loss"] == pytest.approx(epochs[-1], rel=1e-5)
    by_task = [logged["train/loss/click"], logged["train/loss/cart"]]
    assert sum(by_task) / 2 == pytest.approx(logged["train/loss"], rel=1e-5)


@every_model
def test_test_metrics_are_those_of_the_predictions(model_class: type[MultiTaskModel]) -> None:
    rows = planted(512)
    model, trainer = build(model_class), quiet_trainer()
    (logged,) = trainer.test(model, loader(rows), verbose=False)
    probability = torch.cat(trainer.predict(model, loader(rows)))
    assert probability.shape == (512, 2)
    torch.testing.assert_close(probability, 1 / (1 + torch.exp(-model.eval()(rows.categorical, rows.numerical))))
    for k, task in enumerate(TASKS[:2]):
        expected = roc_auc_score(rows.label[:, k], probability[:, k])
        assert logged[f"test/auc/{task}"] == pytest.approx(expected, abs=1e-4)


@every_model
@pytest.mark.parametrize("loss", [MSE(), Focal(), FormulaLoss("-label * log(pred)")], ids=lambda loss: loss.title)
def test_a_copy_trains_on_any_loss(model_class: type[MultiTaskModel], loss: Loss) -> None:
    model = build(model_class)
    child = copy.deepcopy(model)
    child.loss = loss
    quiet_trainer(max_epochs=1).fit(child, loader(planted(256)))
    pairs = list(zip(model.parameters(), child.parameters(), strict=True))
    assert all(torch.isfinite(after).all() for _, after in pairs)
    assert any(not torch.equal(before, after) for before, after in pairs)


@every_model
def test_the_same_seed_trains_the_same_weights(model_class: type[MultiTaskModel]) -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        model = build(model_class)
        quiet_trainer(max_epochs=1).fit(model, loader(planted(256)))
        states.append(nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_a_loss_a_task_is_used_for_its_task() -> None:
    model, batch = build(SharedBottom, loss=[BCE(), MSE()]).eval(), planted()
    logit = model(batch.categorical, batch.numerical)
    expected = [BCE()(logit[:, 0], batch.label[:, 0]), (torch.sigmoid(logit[:, 1]) - batch.label[:, 1]) ** 2]
    torch.testing.assert_close(model.task_losses(batch), torch.stack(expected, dim=1))


def test_too_few_losses_or_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="3 losses for 2 tasks"):
        build(SharedBottom, loss=[BCE(), MSE(), BCE()])
    with pytest.raises(ValueError, match="0 losses for 2 tasks"):
        build(SharedBottom, loss=[])
    model = build(SharedBottom)
    with pytest.raises(ValueError, match="3 labels a row and the model 2 tasks"):
        model.task_losses(planted(num_tasks=3))
    with pytest.raises(ValueError, match="3 labels a row and the model 2 tasks"):
        quiet_trainer().validate(model, loader(planted(num_tasks=3)), verbose=False)
    model.loss = nn.ModuleList([BCE()])
    with pytest.raises(ValueError, match="1 losses for 2 tasks"):
        model.task_losses(planted())


def test_the_weighting_makes_the_training_loss_and_is_trained() -> None:
    model = build(SharedBottom, weighting=UncertaintyWeighting(), optimizer=lambda parameters: SGD(parameters, lr=0.1))
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(planted(256)))
    assert (model.weighting.log_variance != 0).all()


def test_by_default_the_published_settings_of_adam_are_used() -> None:
    optimizer = build(SharedBottom).configure_optimizers()
    assert isinstance(optimizer, Adam)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (1e-3, 1e-6)


def test_gate_values_reach_the_logger_once_an_epoch(tmp_path: Path) -> None:
    logger = pl.loggers.CSVLogger(tmp_path)
    trainer = quiet_trainer(max_epochs=2, logger=logger)
    model = build(PLE)
    trainer.fit(model, loader(planted(256)))
    assert not any(dict(gates.statistics()) for gates in model.modules() if isinstance(gates, Gates))
    table = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    gates = table[[name for name in table if name.startswith("gate/")]].dropna()
    assert len(gates) == 2
    for task in ("click", "cart"):
        names = [f"gate/layer_1/{task}/specific_0", f"gate/layer_1/{task}/shared_0"]
        assert gates[names].sum(axis=1).to_numpy() == pytest.approx([1.0, 1.0])
    shared = ["gate/layer_0/shared/" + each for each in ("click_specific_0", "cart_specific_0", "shared_0")]
    assert gates[shared].sum(axis=1).to_numpy() == pytest.approx([1.0, 1.0])
    assert not any("layer_1/shared" in name for name in gates)


class Interrupted(pl.Callback):
    """Ends a training in the middle of its first epoch."""

    def on_train_batch_end(self, *arguments: Any) -> None:
        if arguments[4] == 1:
            raise RuntimeError("interrupted")


def test_an_epoch_resumed_halfway_has_no_gate_values_and_all_others_have(tmp_path: Path) -> None:
    def fit(name: str, *callbacks: pl.Callback, resumed: Path | None = None) -> pd.DataFrame:
        logger = pl.loggers.CSVLogger(tmp_path, name=name)
        trainer = quiet_trainer(max_epochs=2, logger=logger, enable_checkpointing=True, callbacks=[*callbacks])
        trainer.fit(build(PLE), loader(planted(512)), ckpt_path=resumed, weights_only=True)
        return pd.read_csv(Path(logger.log_dir) / "metrics.csv").dropna(subset=["train/loss"])

    with pytest.raises(RuntimeError, match="interrupted"):
        fit("stopped", last := LastCheckpoint(every_n_train_steps=1), Interrupted())
    half = fit("resumed", resumed=last.path)
    gates = half[[name for name in half if name.startswith("gate/")]]
    assert gates.notna().all(axis=1).tolist() == [False, True]
    whole = fit("resumed at the end of an epoch", resumed=_checkpoint_of_an_epoch(tmp_path))
    assert whole[gates.columns].notna().all(axis=1).tolist() == [True]


def _checkpoint_of_an_epoch(folder: Path) -> Path:
    last = LastCheckpoint()
    logger = pl.loggers.CSVLogger(folder, name="whole")
    trainer = quiet_trainer(max_epochs=1, logger=logger, enable_checkpointing=True, callbacks=[last])
    trainer.fit(build(PLE), loader(planted(512)))
    return last.path


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_half_precision_predicts_as_many_probabilities_as_it_has_logits(precision: str) -> None:
    model = build(SharedBottom, tower_dims=())
    trainer = quiet_trainer(precision=precision)
    (probability,) = trainer.predict(model, loader(planted(128)))
    assert probability.dtype == torch.float32
    model.predict_step = model.logit_step
    (logit,) = trainer.predict(model, loader(planted(128)))
    assert torch.equal(probability, torch.sigmoid(logit.float()))
