"""What every recommender shares: its steps, metrics, optimizer and checkpoints."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from datamodules.batches import Batch, PairBatch
from lightning_modules.losses import BCE, Loss
from lightning_modules.recommenders.metrics import RecommenderMetrics, RunningMean

# Rebuilds a model from plain hyperparameters, its loss included; Lightning allows this one function for that.
_INSTANTIATOR = "pytorch_lightning.cli.instantiate_module"


class Recommender(pl.LightningModule, ABC):
    """A scorer of user-item pairs, trained on a loss object that may be replaced at any time through ``self.loss``.

    Logs ``train/loss`` once an epoch and, where there is a logger, ``train/loss_step`` every ``log_every_n_steps``
    steps; ``val/...`` and ``test/...`` hold every metric of :class:`RecommenderMetrics`.

    Args:
        num_users: Number of user indices, that of unknown users included.
        num_items: Number of item indices, that of unknown items included.
        optimizer: Takes the parameters, returns the optimizer; weight decay is set there and nowhere else. None is
            Adam with a learning rate of 2e-3 and a weight decay of 1e-4.
        loss: The training loss; None is the model's default.
        threshold: The probability above which a prediction counts as positive in thresholded metrics.

    Raises:
        ValueError: If there are no users or items, or the threshold lies outside (0, 1).
    """

    #: Whether the model trains on pairs of a positive and a negative item; data modules choose their loader by it.
    trains_on_pairs: ClassVar[bool] = False
    default_loss: ClassVar[type[Loss]] = BCE

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        optimizer: OptimizerCallable | None = None,
        loss: Loss | None = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        if min(num_users, num_items) < 1:
            raise ValueError(f"a recommender needs users and items, got num_users={num_users}, num_items={num_items}")
        self.loss = self.default_loss() if loss is None else loss
        self.optimizer = optimizer
        self.metrics = RecommenderMetrics(threshold)
        self._save_plain_hyperparameters()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; Lightning notes the running hook 46 times a step, a tenth of its cost without this."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the logit of every row: ``user``, ``item`` int64 [n] -> float [n]."""

    def sample_loss(self, batch: Any) -> Tensor:
        """Return the training loss of every row of the batch, shape [n]."""
        return self.loss.from_logit(self(batch.user, batch.item), batch.label)

    def training_step(self, batch: Batch | PairBatch) -> Tensor:
        """Return the mean loss of the batch; the epoch's sum stays on the device, so that no step waits for it."""
        loss = self.sample_loss(batch).mean()
        self._epoch_loss.add(loss.detach())
        if self._is_logged_step():
            self.log("train/loss_step", loss)
        return loss

    def _is_logged_step(self) -> bool:
        trainer = self.trainer
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set outside the Trainer's class
        return bool(trainer.loggers) and (trainer.global_step + 1) % every == 0

    def on_train_start(self) -> None:
        """Start the mean loss of the epoch; one resumed halfway takes the mean over the steps that are left."""
        self._epoch_loss = RunningMean(self.device)

    def on_train_epoch_end(self) -> None:
        """Log the mean of the epoch's batch losses."""
        self.log("train/loss", self._epoch_loss.compute(), prog_bar=True, sync_dist=True, batch_size=1)
        self.on_train_start()

    def validation_step(self, batch: Batch) -> None:
        """Add the batch to the validation metrics."""
        self.metrics.update(self(batch.user, batch.item), batch.label)

    def test_step(self, batch: Batch) -> None:
        """Add the batch to the test metrics."""
        self.metrics.update(self(batch.user, batch.item), batch.label)

    def predict_step(self, batch: Batch) -> Tensor:
        """Return the probability of label 1 for every row, shape [n]."""
        return torch.sigmoid(self(batch.user, batch.item))

    def on_validation_epoch_start(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self.metrics.reset()

    def on_test_epoch_start(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self.metrics.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split."""
        self._log_metrics("test")

    def _log_metrics(self, split: str) -> None:
        for name, value in self.metrics.compute().items():
            self.log(f"{split}/{name}", value, prog_bar=name == "auc", sync_dist=True, batch_size=1)
        self.metrics.reset()

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer of all parameters."""
        if self.optimizer is None:
            return Adam(self.parameters(), lr=2e-3, weight_decay=1e-4)
        return self.optimizer(self.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store how to rebuild the model, with the loss of this moment, since ``self.loss`` may have been replaced."""
        hyper_parameters = checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY]
        hyper_parameters.update(loss=self.loss.spec(), _instantiator=_INSTANTIATOR)
        model = type(self)
        if getattr(sys.modules.get(model.__module__), model.__qualname__, None) is model:
            hyper_parameters.setdefault("_class_path", f"{model.__module__}.{model.__qualname__}")

    def _save_plain_hyperparameters(self) -> None:
        # Only plain data loads with weights_only=True: the command line hands the optimizer's settings over, but an
        # optimizer given in Python is a function, which is left out.
        self.save_hyperparameters(ignore="loss")
        functions = [] if isinstance(self.hparams.get("optimizer"), Mapping) else ["optimizer"]
        self.save_hyperparameters({"loss": self.loss.spec()}, ignore=functions)


def normal_embedding(num_embeddings: int, embedding_dim: int, *, std: float) -> nn.Embedding:
    """Return an embedding table whose weights are drawn from N(0, std^2)."""
    table = nn.Embedding(num_embeddings, embedding_dim)
    nn.init.normal_(table.weight, std=std)
    return table
