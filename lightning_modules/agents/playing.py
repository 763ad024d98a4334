"""How an actor is measured: it plays logged sessions."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from datamodules.batches import ImpressionBatch
from datamodules.rewards import Reward
from lightning_modules.agents.score import SessionScore
from lightning_modules.multitask import MultiTaskMetrics, MultiTaskModel


class PlayingModule(pl.LightningModule):
    """An actor whose actions are a multi-task model's probabilities, with its evaluation and prediction.

    ``val/...`` and ``test/...`` hold every metric of :class:`MultiTaskMetrics`, and ``score`` and ``score/<task>`` of
    :class:`SessionScore`. A subclass sets ``actor``.

    Args:
        tasks: Name of every task, in the order of the labels' columns.
        reward: What an action earns.
    """

    actor: MultiTaskModel

    def __init__(self, tasks: Sequence[str], reward: Reward) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.reward = reward
        self.metrics, self.score = MultiTaskMetrics(self.tasks), SessionScore(self.tasks)

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the action: int64 [n, fields], float [n, features] -> probabilities, float [n, tasks]."""
        return torch.sigmoid(self.actor(categorical, numerical))

    def on_validation_epoch_start(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self._reset_metrics()

    def on_test_epoch_start(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self._reset_metrics()

    def validation_step(self, batch: ImpressionBatch) -> None:
        """Play the batch's rows with the actor."""
        self._play(batch)

    def test_step(self, batch: ImpressionBatch) -> None:
        """Play the batch's rows with the actor."""
        self._play(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the actor's metrics of the validation split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the actor's metrics of the test split."""
        self._log_metrics("test")

    def logit_step(self, batch: ImpressionBatch) -> Tensor:
        """Return the logit of the actions for every row, shape [n, tasks]."""
        return self.actor.logit_step(batch)

    def predict_step(self, batch: ImpressionBatch) -> Tensor:
        """Return the actions for every row, shape [n, tasks]."""
        action: Tensor = self(batch.categorical, batch.numerical)
        return action

    def _play(self, batch: ImpressionBatch) -> None:
        logit = self.logit_step(batch)
        self.metrics.update(logit, batch.label, batch.session, batch.user)
        self.score.update(self.reward(torch.sigmoid(logit), batch.label), batch.session)

    def _log_metrics(self, split: str) -> None:
        for name, value in (self.metrics.compute() | self.score.compute()).items():
            self.log(f"{split}/{name}", value, prog_bar=name == "score", sync_dist=True, batch_size=1)
        self._reset_metrics()

    def _reset_metrics(self) -> None:
        self.metrics.reset()
        self.score.reset()
