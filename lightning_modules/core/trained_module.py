"""The base of models that are trained on a loss object: optimizer, log, checkpoints."""

import sys
from abc import ABC
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torchmetrics import Metric

from lightning_modules.core.inference import Exportable
from lightning_modules.core.resumption import ResumableTraining
from lightning_modules.losses import LossObject, Prediction
from lightning_modules.optimizers import LazyAdam, LazyTable
from lightning_modules.utilities.precision import at_least_single
from lightning_modules.utilities.serialization import Described

# Rebuilds a model from plain hyperparameters, its loss included; Lightning allows this one function for that.
_INSTANTIATOR = "pytorch_lightning.cli.instantiate_module"


class QuickHooks:
    """Lets Lightning note the running hook quickly: it does so 46 times a step, a tenth of its cost without this.

    A mixin, to be named before ``LightningModule``.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the hook's name goes past what torch does for parameters and modules."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


class TrainedModule(QuickHooks, Exportable, ResumableTraining, pl.LightningModule, ABC):
    """A model with a loss that may be replaced at any time through ``self.loss``, and metrics of its evaluation.

    A model sets ``metrics`` and, with :meth:`keep_objects`, ``loss`` in its constructor, calls :meth:`record_loss` in
    every training step, and updates its metrics in its evaluation steps. The constructor's arguments are saved as
    hyper-parameters, subclasses' arguments included.

    Args:
        optimizer: Takes the parameters, returns the optimizer; None is Adam with the model's usual settings.
    """

    #: What optimizes where none is given, a kind of Adam, and what it is set to.
    default_optimizer_class: ClassVar[type[Adam]] = Adam
    default_learning_rate: ClassVar[float] = 2e-3
    default_weight_decay: ClassVar[float] = 1e-4

    #: The metric, more of which is better, that a training's best epoch is chosen by.
    validation_metric: str = "val/auc"
    #: What the loss is given.
    gives: ClassVar[Prediction] = "logit"
    #: The constructor's arguments that are objects, each an attribute of the same name.
    object_arguments: ClassVar[tuple[str, ...]] = ("loss",)

    loss: nn.Module
    metrics: Metric

    def __init__(self, optimizer: OptimizerCallable | None = None) -> None:
        super().__init__()
        self.optimizer = optimizer
        self._epoch_loss = RunningMean()
        self._save_arguments()

    def _save_arguments(self) -> None:
        """Save the arguments that are plain values, which alone load with ``weights_only=True``."""
        self.save_hyperparameters(ignore=list(self.object_arguments))
        # The command line gives an optimizer's settings; one given in Python is a function.
        if not isinstance(self.hparams.get("optimizer"), Mapping):
            self.save_hyperparameters(ignore=["optimizer", *self.object_arguments])

    def keep_objects(self, **objects: Described | nn.ModuleList | None) -> None:
        """Set attributes to arguments that are objects, and save them as plain values among the hyper-parameters."""
        for name, each in objects.items():
            setattr(self, name, each)
        self.save_hyperparameters({name: _plain(each) for name, each in objects.items()})

    def plain_objects(self) -> dict[str, Any]:
        """Return the constructor's arguments that are objects, as they are at this moment, as plain values."""
        return {name: _plain(getattr(self, name)) for name in self.object_arguments}

    def check_loss(self) -> None:
        """Refuse a loss that the model cannot be trained on.

        Raises:
            MisfitError: If there is one.
        """
        cast(LossObject, self.loss).check_model(self)

    def on_fit_start(self) -> None:
        """Refuse a loss that does not fit before training starts."""
        self.check_loss()

    def record_loss(self, loss: Tensor, *parts: Tensor) -> None:
        """Add the batch's loss, and any parts of it, to the epoch's means, which stay on the device."""
        self._epoch_loss.add(torch.stack([loss.detach(), *(part.detach() for part in parts)]))
        if self._is_logged_step():
            self.log("train/loss_step", loss)

    def _is_logged_step(self) -> bool:
        trainer = self.trainer
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set outside the Trainer's class
        return bool(trainer.loggers) and (trainer.global_step + 1) % every == 0

    def on_train_start(self) -> None:
        """Start the mean loss of the epoch, or go on with that of an epoch that is resumed halfway."""
        self._epoch_loss = RunningMean()
        super().on_train_start()

    def training_state(self) -> dict[str, Any]:
        """Return the mean loss of the epoch so far, which task weightings may look at when it ends."""
        return {"epoch_loss": self._epoch_loss.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on with the epoch's mean loss."""
        self._epoch_loss.load_state_dict(state["epoch_loss"], self.device)

    def on_train_epoch_end(self) -> None:
        """Log the mean of the epoch's batch losses, and bring all tables up to date."""
        for table in self._lazy_tables():
            table.settle()
        self.log("train/loss", self._epoch_loss.compute()[0], prog_bar=True, sync_dist=True, batch_size=1)
        self._epoch_loss = RunningMean()

    def on_train_end(self) -> None:
        """Let go of the optimizer, whose memory is twice that of the weights."""
        super().on_train_end()
        for table in self._lazy_tables():
            table.release()

    def _lazy_tables(self) -> list[LazyTable]:
        return [each for each in self.modules() if isinstance(each, LazyTable)]

    def on_validation_epoch_start(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self.metrics.reset()

    def on_test_epoch_start(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self.metrics.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self._log_metrics("val", self.metrics)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split."""
        self._log_metrics("test", self.metrics)

    def _log_metrics(self, split: str, metrics: Metric) -> None:
        for name, value in metrics.compute().items():
            self.log(
                f"{split}/{name}", value, prog_bar=f"val/{name}" == self.validation_metric, sync_dist=True, batch_size=1
            )
        metrics.reset()

    @classmethod
    def default_optimizer(cls) -> dict[str, Any]:
        """Return the arguments of :attr:`default_optimizer_class` where no optimizer is given."""
        # One operation for all parameters. Otherwise Adam takes a third of the time of a model of large tables.
        return {"lr": cls.default_learning_rate, "weight_decay": cls.default_weight_decay, "fused": True}

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer of all parameters."""
        make: OptimizerCallable = self.optimizer or partial(self.default_optimizer_class, **self.default_optimizer())
        optimizer = make(self.parameters())
        if isinstance(optimizer, LazyAdam) and not self._needs_dense_gradients():
            optimizer.connect(self)
        if self._clips_scaled_gradients():
            _leave_gradients_unscaled(optimizer)
        return optimizer

    def _needs_dense_gradients(self) -> bool:
        """Return whether the Trainer clips gradients, or adds up those of processes: sparse ones are not fit for it."""
        trainer = self._trainer
        return trainer is not None and (trainer.world_size > 1 or bool(trainer.gradient_clip_val))

    def _clips_scaled_gradients(self) -> bool:
        trainer = self._trainer
        scaled = trainer is not None and getattr(trainer.precision_plugin, "scaler", None) is not None
        return scaled and bool(trainer.gradient_clip_val)  # type: ignore[union-attr]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store how to rebuild the model, with the loss of this moment, since ``self.loss`` may have been replaced."""
        super().on_save_checkpoint(checkpoint)
        hyper_parameters = checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY]
        hyper_parameters.update(self.plain_objects())
        note_how_to_rebuild(self, hyper_parameters)


def _leave_gradients_unscaled(optimizer: Optimizer) -> None:
    """Let the Trainer unscale gradients of half precision before it clips them, which a fused step does itself."""
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        for group in optimizer.param_groups:
            group["fused"] = False


def _plain(argument: Described | nn.ModuleList | None) -> Any:
    if isinstance(argument, nn.ModuleList):
        return [cast(Described, each).spec() for each in argument]
    return None if argument is None else argument.spec()


def note_how_to_rebuild(module: pl.LightningModule, hyper_parameters: dict[str, Any]) -> None:
    """Add to a checkpoint's hyper-parameters what Lightning needs to make the module of them, class included."""
    hyper_parameters["_instantiator"] = _INSTANTIATOR
    kind = type(module)
    if getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind:
        hyper_parameters.setdefault("_class_path", f"{kind.__module__}.{kind.__qualname__}")


class RunningMean:
    """Mean of tensors of one shape that stays on their device, so that adding never waits for the device.

    It is kept in single precision at least: a sum of half precision stops growing after a few hundred values.
    """

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.count = 0

    def add(self, value: Tensor) -> None:
        """Take a detached tensor into the mean."""
        precise = at_least_single(value)
        self.total = precise if self.total is None else self.total + precise
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what has been added so far."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from what :meth:`state_dict` returned, on a device."""
        total = state["total"]
        self.total, self.count = None if total is None else total.to(device), state["count"]

    def compute(self) -> Tensor:
        """Return the mean of everything added.

        Raises:
            ValueError: If that is nothing.
        """
        if self.total is None:
            raise ValueError("nothing has been added, so there is no mean")
        return self.total / self.count
