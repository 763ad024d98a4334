"""What every multi-task model shares: its constructor, losses, steps and metrics."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn

from callbacks.scalar_layout import ScalarLayout
from datamodules.batches import ImpressionBatch
from lightning_modules.core.epoch_statistics import EpochStatistics
from lightning_modules.core.inference import InferenceGraph
from lightning_modules.core.trained_module import TrainedModule
from lightning_modules.layers import FieldEmbedding
from lightning_modules.losses import BCE, Loss
from lightning_modules.multitask.inference import ImpressionGraph
from lightning_modules.multitask.metrics import LAYOUT, MultiTaskMetrics
from lightning_modules.multitask.weighting import ConstantWeights, TaskWeighting
from lightning_modules.utilities.precision import probability_of


class MultiTaskModel(TrainedModule):
    """A model of several probabilities of a row, such as that of a click and that of a purchase.

    Trains on one loss for all tasks or on one a task, weighted by a task weighting. ``self.loss`` may be replaced
    at any time, by a loss or by a ``ModuleList`` of one a task. Logs ``train/loss`` and ``train/loss/<task>`` once an
    epoch; where there is a logger, also ``train/loss_step`` every ``log_every_n_steps`` steps and, once an epoch, what
    its parts keep for that (:class:`EpochStatistics`), such as the mean weights of all gates; not of an epoch that was
    resumed halfway, of which they know the rest alone. ``val/...`` and ``test/...`` hold every metric of
    :class:`MultiTaskMetrics`.

    Args:
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        num_numerical: Number of numerical features.
        tasks: Name of every task, in the order of the labels' columns.
        loss: The training loss of all tasks, or one a task; None is binary cross-entropy.
        weighting: Makes one loss of the tasks' losses; None is their mean.
        optimizer: Takes the parameters, returns the optimizer; weight decay is set there and nowhere else. None is
            Adam with a learning rate of 1e-3 and a weight decay of 1e-6.

    Raises:
        ValueError: If there are no tasks, two have the same name, or there are more or fewer losses than tasks.
    """

    #: Whether the model takes every task to presuppose the one before; data modules count the rows that break that.
    assumes_funnel: ClassVar[bool] = False
    default_learning_rate: ClassVar[float] = 1e-3
    default_weight_decay: ClassVar[float] = 1e-6
    object_arguments: ClassVar[tuple[str, ...]] = ("loss", "weighting")

    loss: Loss | nn.ModuleList
    weighting: TaskWeighting
    metrics: MultiTaskMetrics
    _is_whole_epoch = True

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        loss: Loss | list[Loss] | None = None,
        weighting: TaskWeighting | None = None,
        optimizer: OptimizerCallable | None = None,
    ) -> None:
        super().__init__(optimizer)
        self.field_sizes, self.num_numerical, self.tasks = tuple(field_sizes), num_numerical, tuple(tasks)
        self.metrics = MultiTaskMetrics(self.tasks)
        self.keep_objects(
            loss=nn.ModuleList(loss) if isinstance(loss, list | tuple) else loss or BCE(),
            weighting=weighting or ConstantWeights(),
        )
        self._check_losses()
        self.weighting.setup(len(self.tasks))

    @abstractmethod
    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task's probability.

        Args:
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].

        Returns:
            Float [n, tasks].
        """

    def logit_step(self, batch: ImpressionBatch) -> Tensor:
        """Return the logit of every task for every row, shape [n, tasks]."""
        logit: Tensor = self(batch.categorical, batch.numerical)
        return logit

    def shared_embedding(self) -> FieldEmbedding | None:
        """Return the embedding that all tasks read; None if a model has several, or none."""
        embeddings = [module for module in self.modules() if isinstance(module, FieldEmbedding)]
        return embeddings[0] if len(embeddings) == 1 else None

    def task_losses(self, batch: ImpressionBatch) -> Tensor:
        """Return the training loss of every row and task, shape [n, tasks].

        Raises:
            ValueError: If there are more or fewer losses or labels than tasks.
        """
        self._check_labels(batch.label)
        return self._losses_of(self.logit_step(batch), batch)

    def _losses_of(self, logit: Tensor, batch: ImpressionBatch) -> Tensor:
        features = batch.categorical, batch.numerical
        if isinstance(self.loss, Loss):
            return self.loss.of_rows(logit, batch.label, *features)
        self._check_losses()
        columns = zip(logit.split(1, dim=1), batch.label.split(1, dim=1), strict=True)
        losses_and_columns = zip(self._each_loss(), columns, strict=True)
        return torch.cat([loss.of_rows(*column, *features) for loss, column in losses_and_columns], dim=1)

    def _each_loss(self) -> list[Loss]:
        return [self.loss] if isinstance(self.loss, Loss) else [cast(Loss, loss) for loss in self.loss]

    def mean_task_losses(self, batch: ImpressionBatch) -> Tensor:
        """Return the mean training loss of every task, shape [tasks]; what a step minimises, once weighed."""
        return self.task_losses(batch).mean(dim=0)

    def training_step(self, batch: ImpressionBatch) -> Tensor:
        """Return the weighed loss of the batch; the epoch's sums stay on the device, so that no step waits for it."""
        task_losses = self.mean_task_losses(batch)
        loss: Tensor = self.weighting(task_losses)
        self.record_loss(loss, *task_losses.unbind())
        return loss

    def configure_callbacks(self) -> list[Callback]:
        """Return what puts the tasks' curves on common charts in TensorBoard."""
        return [ScalarLayout(LAYOUT)]

    def check_loss(self) -> None:
        """Refuse losses that the model cannot be trained on, or that are not one a task.

        Raises:
            ValueError: If there are any.
        """
        self._check_losses()
        for loss in self._each_loss():
            loss.check_model(self)

    def on_fit_start(self) -> None:
        """Let the losses see what they will be given; one that does not fit is refused before training starts."""
        super().on_fit_start()
        tasks_of_losses = [self.tasks] if isinstance(self.loss, Loss) else [(task,) for task in self.tasks]
        for loss, tasks in zip(self._each_loss(), tasks_of_losses, strict=True):
            loss.prepare(self.field_sizes, self.num_numerical, tasks)
            if self.trainer.datamodule is not None:  # type: ignore[attr-defined]  # set outside the Trainer's class
                loss.check_data(self.trainer.datamodule)  # type: ignore[attr-defined]

    def on_train_start(self) -> None:
        """Start the statistics of the epoch."""
        super().on_train_start()
        # Checkpoints hold the epoch's mean loss, and not what the parts keep.
        self._is_whole_epoch = not self._epoch_loss.count
        for part in self._parts_with_statistics():
            part.reset()

    def on_train_epoch_end(self) -> None:
        """Log the statistics of the epoch, and let the weighting look back at its mean losses."""
        task_losses = self._epoch_loss.compute()[1:]
        super().on_train_epoch_end()
        named = {f"train/loss/{task}": mean for task, mean in zip(self.tasks, task_losses, strict=True)}
        self.log_dict(named, sync_dist=True, batch_size=1)
        self.weighting.on_epoch_end(task_losses)
        self._log_statistics()

    def _log_statistics(self) -> None:
        for part in self._parts_with_statistics():
            if self.trainer.loggers and self._is_whole_epoch:
                self.log_dict(dict(part.statistics()), sync_dist=True, batch_size=1)
            part.reset()
        self._is_whole_epoch = True

    def _parts_with_statistics(self) -> list[EpochStatistics]:
        return [module for module in self.modules() if isinstance(module, EpochStatistics)]

    def validation_step(self, batch: ImpressionBatch) -> None:
        """Add the batch to the validation metrics."""
        self._evaluate(batch)

    def test_step(self, batch: ImpressionBatch) -> None:
        """Add the batch to the test metrics."""
        self._evaluate(batch)

    def _evaluate(self, batch: ImpressionBatch) -> None:
        self._check_labels(batch.label)
        self.metrics.update(self.logit_step(batch), batch.label, batch.session, batch.user)

    def predict_step(self, batch: ImpressionBatch) -> Tensor:
        """Return every task's probability for every row, in single precision at least, shape [n, tasks]."""
        return probability_of(self.logit_step(batch))

    def inference_graph(self) -> InferenceGraph:
        """Return what gives rows of features every task's probability and logit, for other programs."""
        return ImpressionGraph(self, self.field_sizes, self.num_numerical, self.tasks)

    def _check_losses(self) -> None:
        if not isinstance(self.loss, Loss) and len(self.loss) != len(self.tasks):
            raise ValueError(
                f"there are {len(self.loss)} losses for {len(self.tasks)} tasks ({', '.join(self.tasks)}); "
                "give one loss for all tasks, or one a task in their order"
            )

    def _check_labels(self, label: Tensor) -> None:
        if label.shape[1] != len(self.tasks):
            raise ValueError(
                f"the batch has {label.shape[1]} labels a row and the model {len(self.tasks)} tasks "
                f"({', '.join(self.tasks)}); name as many tasks as the data has labels"
            )
