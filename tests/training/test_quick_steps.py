import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.profilers import SimpleProfiler
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, Optimizer
from torch.optim.lr_scheduler import StepLR

from callbacks import LastCheckpoint, RewardCallback
from datamodules import SyntheticInteractions
from datamodules.batches import Batch
from lightning_modules.recommenders import BiasedMF, DeepMF, Recommender
from lightning_modules.training.quick_steps import QuickEpochLoop, with_quick_steps
from tests.search.child_helpers import planted_data
from tests.trainer_helpers import quiet_trainer

HOOKS = (
    *("on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "on_train_batch_end", "on_validation_start", "on_train_epoch_end"),
)


class Recorder(Callback):
    """Notes every hook with the state that it finds."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        for hook in HOOKS:
            setattr(self, hook, partial(self._note, hook))

    def _note(self, hook: str, trainer: pl.Trainer, module: pl.LightningModule, *given: Any) -> None:
        has_gradients = any(parameter.grad is not None for parameter in module.parameters())
        counters = trainer.global_step, trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.state_dict()
        self.events.append((hook, module._current_fx_name, has_gradients, copy.deepcopy(counters), plain(given)))


def plain(value: Any) -> Any:
    """Return tensors as lists and other objects as their class, for comparing exactly."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, int | float | str | bool | None) else type(value).__name__


class Scheduled(DeepMF):
    """Halves its learning rate every second step."""

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": StepLR(optimizer, 2, 0.5), "interval": "step"}}


class Logging(DeepMF):
    """Takes the batch's number, logs in a step, and returns more than the loss, or nothing."""

    def training_step(self, batch: Batch, batch_idx: int) -> Any:  # type: ignore[override]
        if batch_idx == 3:
            return None
        loss = super().training_step(batch)
        self.log("step", loss * batch_idx, on_step=True, on_epoch=True)
        return {"loss": loss, "index": batch_idx}


class Clearing(Adam):
    """Has its own way to clear gradients."""

    cleared = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.cleared += 1
        super().zero_grad(set_to_none)


def small_data() -> SyntheticInteractions:
    return planted_data(num_interactions=180)


def model_of(kind: Callable[..., Recommender], data: SyntheticInteractions, **options: Any) -> Recommender:
    torch.manual_seed(1)
    return kind(data.num_users, data.num_items, embedding_dim=4, **options)


def fitted(
    quick: bool, kind: Callable[..., Recommender], folder: Path, *, data: SyntheticInteractions, **options: Any
) -> tuple[pl.Trainer, Any]:
    """Train, and return the Trainer with everything there is to compare."""
    recorder = Recorder()
    trainer = quiet_trainer(
        **{"max_epochs": 2, **options, "callbacks": [recorder, RewardCallback(), *options.get("callbacks", [])]}
    )
    trainer = with_quick_steps(trainer) if quick else trainer
    model = model_of(kind, data)
    torch.manual_seed(2)
    trainer.fit(model, datamodule=data)
    path = folder / f"{quick}.ckpt"
    trainer.save_checkpoint(path)
    return trainer, (recorder.events, plain(torch.load(path)), plain(trainer.logged_metrics))


def steps_are_quick(trainer: pl.Trainer) -> bool:
    loop = trainer.fit_loop.epoch_loop
    return isinstance(loop, QuickEpochLoop) and loop._hooks is not None


DEEP = partial(DeepMF, hidden_features=(8,))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BiasedMF, {}),
        (DEEP, {"gradient_clip_val": 0.01}),
        (DEEP, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}),
        (Scheduled, {}),
        (Logging, {}),
        (DEEP, {"max_steps": 7, "val_check_interval": 3}),
        (DEEP, {"limit_train_batches": 3, "check_val_every_n_epoch": 2}),
        (DEEP, {"fast_dev_run": 2}),
        (DEEP, {"callbacks": [EarlyStopping("val/auc", mode="max", patience=0)], "max_epochs": 6}),
        (partial(BiasedMF, optimizer=Clearing), {}),
        (partial(BiasedMF, optimizer=partial(SGD, lr=0.1, momentum=0.9)), {}),
        (partial(BiasedMF, optimizer=partial(LBFGS, max_iter=3)), {}),
    ],
)
def test_quick_steps_are_lightnings(kind: Callable[..., Recommender], options: dict[str, Any], tmp_path: Path) -> None:
    results = []
    for quick in (False, True):
        data = small_data()
        trainer, result = fitted(quick, kind, tmp_path, data=data, **copy.deepcopy(options))
        assert steps_are_quick(trainer) == quick
        results.append(result)
    lightnings, ours = results
    for before, after in zip(lightnings[0], ours[0], strict=True):
        assert before == after
    assert ours[1:] == lightnings[1:]


@pytest.mark.parametrize("kind", [DEEP, Logging])
def test_what_is_logged_is_the_same(kind: Callable[..., Recommender], tmp_path: Path) -> None:
    logged = []
    for quick in (False, True):
        logger = CSVLogger(tmp_path, name="", version=str(quick))
        data = small_data()
        fitted(quick, kind, tmp_path, data=data, logger=logger, log_every_n_steps=2, callbacks=[LearningRateMonitor()])
        logged.append((tmp_path / str(quick) / "metrics.csv").read_text())
    assert logged[0] == logged[1]
    assert "train/loss_step" in logged[0]


class SavingAt(Callback):
    """Writes a checkpoint after so many steps."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: pl.Trainer, *given: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("quick", [False, True])
def test_a_training_goes_on_in_the_other_steps(quick: bool, tmp_path: Path) -> None:
    data, middle, end = small_data(), tmp_path / "middle.ckpt", tmp_path / "end.ckpt"
    _, (_, expected, _) = fitted(quick, DEEP, tmp_path, data=data, callbacks=[SavingAt(7, middle)])
    trainer = quiet_trainer(max_epochs=2)
    trainer = trainer if quick else with_quick_steps(trainer)
    trainer.fit(model_of(DEEP, data), datamodule=data, ckpt_path=middle, weights_only=True)
    trainer.save_checkpoint(end)
    assert steps_are_quick(trainer) != quick
    assert 7 % trainer.num_training_batches
    resumed = plain(torch.load(end))
    for name in ("state_dict", "optimizer_states", "global_step", "epoch", "training_state", "loops"):
        assert resumed[name] == expected[name]


class WarmingUp(BiasedMF):
    def optimizer_step(self, *given: Any, **options: Any) -> None:
        super().optimizer_step(*given, **options)


class Skipping(BiasedMF):
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if (self.current_epoch, batch_idx) == (0, 2) else None


class ByHand(BiasedMF):
    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.automatic_optimization = False

    def training_step(self, batch: Any) -> Any:
        optimizer = self.optimizers()
        assert isinstance(optimizer, Optimizer)
        optimizer.zero_grad()
        loss = super().training_step(batch)
        self.manual_backward(loss)
        optimizer.step()
        return loss


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (WarmingUp, {}),
        (Skipping, {}),
        (ByHand, {}),
        (BiasedMF, {"accumulate_grad_batches": 2}),
        (BiasedMF, {"precision": "bf16-mixed"}),
        (BiasedMF, {"precision": "64-true"}),
        (BiasedMF, {"profiler": SimpleProfiler()}),
    ],
)
def test_what_asks_for_more_gets_lightnings_steps(
    kind: Callable[..., Recommender], options: dict[str, Any], tmp_path: Path
) -> None:
    results = []
    for quick in (False, True):
        data = small_data()
        trainer, result = fitted(quick, kind, tmp_path, data=data, **copy.deepcopy(options))
        assert not steps_are_quick(trainer)
        results.append(result)
    assert results[0] == results[1]


class Moving(SyntheticInteractions):
    """Swaps labels on their way to the device."""

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return batch._replace(label=1 - batch.label)


class Arrived(SyntheticInteractions):
    """Swaps labels on the device."""

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return batch._replace(label=1 - batch.label)


@pytest.mark.parametrize(("kind", "is_quick"), [(Moving, False), (Arrived, True)])
def test_hooks_of_the_data_are_called(kind: type[SyntheticInteractions], is_quick: bool, tmp_path: Path) -> None:
    sizes = {"num_users": 20, "num_items": 10, "num_interactions": 200, "batch_size": 32}
    results = []
    for quick in (False, True):
        trainer, result = fitted(quick, BiasedMF, tmp_path, data=kind(**sizes))
        assert steps_are_quick(trainer) == (quick and is_quick)
        results.append(result)
    assert results[0] == results[1]
    unmoved = fitted(True, BiasedMF, tmp_path, data=SyntheticInteractions(**sizes))[1]
    assert unmoved[1]["state_dict"] != results[0][1]["state_dict"]


class Linear(pl.LightningModule):
    """Trains on whatever its loader yields."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False)
        self.seen: list[type] = []

    def training_step(self, batch: Any) -> Tensor:
        self.seen.append(type(batch))
        rows = batch["rows"] if isinstance(batch, dict) else batch[0]
        loss: Tensor = self.layer(rows).square().mean()
        return loss

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=0.1)


class Batches:
    """A loader without a length."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_batches_of_any_kind_are_taken_and_those_that_are_none_left_out() -> None:
    rows = torch.tensor([[1.0, 2.0]])
    weights, seen = [], []
    for quick in (False, True):
        torch.manual_seed(0)
        module, trainer = Linear(), quiet_trainer(max_epochs=1)
        trainer = with_quick_steps(trainer) if quick else trainer
        trainer.fit(module, train_dataloaders=Batches([{"rows": rows}, None, [rows], (rows,)]))
        weights.append(module.layer.weight.detach())
        seen.append(module.seen)
    assert torch.equal(*weights)
    assert seen[0] == seen[1] == [dict, list, tuple]


def test_checkpoints_of_a_step_are_the_same(tmp_path: Path) -> None:
    found = []
    for quick in (False, True):
        last = LastCheckpoint(every_n_train_steps=3)
        best = ModelCheckpoint(tmp_path / f"every{quick}", every_n_train_steps=2, save_top_k=-1)
        options = {"callbacks": [last, best], "enable_checkpointing": True, "limit_train_batches": 5}
        data = small_data()
        fitted(quick, DEEP, tmp_path, data=data, default_root_dir=tmp_path / str(quick), **options)
        files = sorted((tmp_path / f"every{quick}").iterdir())
        found.append([(path.name, plain(torch.load(path)["state_dict"])) for path in files])
    assert len(found[0]) == 5
    assert found[0] == found[1]
