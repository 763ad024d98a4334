"""What all agents share: evaluation on logged sessions, the log, and training that can be resumed."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.scalar_layout import Layout, ScalarLayout
from datamodules.batches import ImpressionBatch
from datamodules.sessions.rewards import Reward
from datamodules.sessions.transitions import Transition
from lightning_modules.agents.diagnostics import ConstantWarning, EpochObservation, FiniteWatch
from lightning_modules.agents.metrics import SessionScore
from lightning_modules.agents.replay_buffer import ReplayBuffer
from lightning_modules.core.inference import Exportable, InferenceGraph
from lightning_modules.core.resumption import ResumableTraining
from lightning_modules.core.trained_module import note_how_to_rebuild
from lightning_modules.multitask import MultiTaskMetrics, MultiTaskModel
from lightning_modules.multitask.metrics import VALIDATION_CHARTS
from lightning_modules.utilities.precision import probability_of

#: What an agent logs; its actor has the metrics of a multi-task model.
LAYOUT: Layout = {
    "Agent": {
        "score: mean reward of a session": "val/score(/.*)?",
        "critic loss": "train/critic_loss(/.*)?",
        "actor loss and BC loss": "train/(actor|bc)_loss",
        "mean value of the critics": "train/q_mean/.*",
        "spread of the critics' values": "train/q_std/.*",
    },
    "Validation": VALIDATION_CHARTS,
}


class Agent(Exportable, ResumableTraining, pl.LightningModule):
    """An actor that is evaluated on logged sessions, and whose interrupted training resumes bit for bit.

    The actions are the probabilities of a multi-task model, ``actor``, which a subclass sets. ``val/...`` and
    ``test/...`` hold every metric of :class:`MultiTaskMetrics`, and ``score`` and ``score/<task>`` of
    :class:`SessionScore`. A checkpoint holds the number of updates, the replay, all random states and the sums of the
    epoch's log.

    Args:
        tasks: Name of every task, in the order of the labels' columns.
        reward: What an action earns.
        memory_size: Number of transitions that the replay holds.

    Attributes:
        updates: Number of updates of the critics so far.
        replay: The transitions to learn from.
        generator: Of everything that the agent draws itself, on the CPU.
    """

    actor: MultiTaskModel

    def __init__(self, tasks: Sequence[str], reward: Reward, memory_size: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.reward = reward
        self.metrics, self.score = MultiTaskMetrics(self.tasks), SessionScore(self.tasks)
        self.memory_size = memory_size
        self._constant_warning = ConstantWarning()
        self._begin()

    def _begin(self) -> None:
        self.updates = 0
        self.replay: ReplayBuffer[Transition] = ReplayBuffer(self.memory_size)
        self.generator = torch.Generator()
        self._observation, self._watch = EpochObservation(self.tasks), FiniteWatch()

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the action: int64 [n, fields], float [n, features] -> probabilities, float [n, tasks]."""
        return probability_of(self.actor(categorical, numerical))

    def configure_callbacks(self) -> list[Callback]:
        """Return what puts the curves of an agent on common charts in TensorBoard."""
        return [ScalarLayout(LAYOUT)]

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

    def inference_graph(self) -> InferenceGraph:
        """Return what gives rows of features the actions, which are the actor's probabilities, for other programs."""
        return self.actor.inference_graph()

    def _play(self, batch: ImpressionBatch) -> None:
        logit = self.logit_step(batch)
        self.metrics.update(logit, batch.label, batch.session, batch.user)
        self.score.update(self.reward(probability_of(logit), batch.label), batch.session)

    def _log_metrics(self, split: str) -> None:
        for name, value in (self.metrics.compute() | self.score.compute()).items():
            self.log(f"{split}/{name}", value, prog_bar=name == "score", sync_dist=True, batch_size=1)
        self._reset_metrics()

    def _reset_metrics(self) -> None:
        self.metrics.reset()
        self.score.reset()

    def setup(self, stage: str) -> None:
        """Refuse several processes, whose replays and updates would drift apart.

        Raises:
            MisconfigurationException: If there are several.
        """
        if stage == "fit" and self.trainer.world_size > 1:
            raise MisconfigurationException(
                f"{type(self).__name__} trains in one process, got {self.trainer.world_size}; set trainer.devices to 1"
            )

    def on_train_start(self) -> None:
        """Begin with an empty replay and a seed drawn from torch's, or go on where a checkpoint was written."""
        self._begin()
        self.train()
        self.generator.manual_seed(int(torch.randint(2**63 - 1, ())))
        super().on_train_start()

    def training_state(self) -> dict[str, Any]:
        """Return the number of updates, the replay, the agent's own random state and the sums of the epoch's log."""
        return {
            "updates": self.updates,
            "replay": self.replay.state_dict(),
            "generator": self.generator.get_state(),
            "observation": self._observation.state_dict(),
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.updates = state["updates"]
        self.replay.load_state_dict(state["replay"], self.device)
        self.generator.set_state(state["generator"].cpu())
        self._observation.load_state_dict(state["observation"], self.device)

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before; a training resumed inside an epoch does not come here."""
        self._observation = EpochObservation(self.tasks)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means, and warn of critics whose values are constant."""
        named = {f"train/{name}": mean for name, mean in self._observation.means().items()}
        self.log_dict(named, batch_size=1)
        self._constant_warning.warn(self._observation.constant_tasks())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store how to rebuild the agent, and what a resumed training needs beside weights and optimizers."""
        super().on_save_checkpoint(checkpoint)
        note_how_to_rebuild(self, checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY])
