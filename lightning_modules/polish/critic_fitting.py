"""Fits the critics of one seed to the logged sessions, and measures their values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from datamodules import ImpressionsDataModule, SessionsDataModule
from datamodules.batches import ImpressionBatch
from lightning_modules.agents import ActorCritic
from lightning_modules.agents.replay_buffer import ReplayBuffer
from lightning_modules.agents.task_critics import load_critics
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.training.quiet import quiet_training
from lightning_modules.training.random_numbers import seed_random_numbers
from lightning_modules.training.shared_run import SharedRun
from lightning_modules.training.trainers import fit, quiet_trainer
from lightning_modules.utilities.files import replace_file

#: A critic whose values have a smaller standard deviation over the rows gives all rows the same weight.
LEAST_SPREAD = 1e-4
_ROWS, _CHUNK = 65_536, 8_192
#: Options that Lightning refuses under manual optimization; agents have an option for clipping instead.
_AUTOMATIC_OPTIMIZATION = ("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches")
#: Options that say how long models are trained; critics have a number of epochs of their own.
_LENGTHS = ("max_steps", "max_time", "min_epochs", "min_steps")


@dataclass(frozen=True)
class CriticFitting:
    """Fits the critics of agents to logged sessions.

    Args:
        agent: Makes the agent of its actor, a model or the checkpoint of one.
        impressions: The data whose sessions it learns from.
        recipe: Arguments of the Trainer; its callbacks, its options of gradients and its limits are for models and left
            out.
        epochs: Passes over the logged sessions.
        rows: Logged rows that the agent acts on in each update.
    """

    agent: Callable[[str | MultiTaskModel], ActorCritic]
    impressions: ImpressionsDataModule
    recipe: Mapping[str, Any]
    epochs: int
    rows: int

    def check(self, model: MultiTaskModel) -> None:
        """Refuse an agent that cannot be built, and sessions that it cannot learn from.

        Args:
            model: An untrained model.

        Raises:
            ValueError: If an option of the agent is out of its range, or no training session has two rows.
        """
        with quiet_training():
            self.agent(model)
            self._sessions().setup()

    def fit(self, actor: Path, seed: int, checkpoint: Path) -> None:
        """Fit the critics to the sessions and write the agent's checkpoint.

        Args:
            actor: Checkpoint of the model whose predictions are the actions.
            seed: Seed of the critics, the actions and the replay.
            checkpoint: File to write, two folders below the polish, whose TensorBoard run gets the curves.
        """
        with quiet_training():
            seed_random_numbers(seed)
            agent = self.agent(str(actor))
            trainer = self._trainer(checkpoint)
            seed_random_numbers(seed)
            fit(trainer, agent, self._sessions())
            # The agent is not trained further, and the replay buffer would be nearly all of the file.
            agent.replay = ReplayBuffer(agent.settings.memory_size)
            replace_file(checkpoint, lambda path: trainer.save_checkpoint(path, weights_only=True))

    def _sessions(self) -> SessionsDataModule:
        return SessionsDataModule(self.impressions, batch_size=self.rows)

    def _trainer(self, checkpoint: Path) -> pl.Trainer:
        left_out = (*_AUTOMATIC_OPTIMIZATION, *_LENGTHS)
        recipe = {name: value for name, value in self.recipe.items() if name not in left_out}
        return quiet_trainer(recipe, [], without=(Callback,), max_epochs=self.epochs, logger=SharedRun(checkpoint))


@torch.no_grad()
def values(checkpoint: Path, rows: ImpressionBatch, probability: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of every task's critic over rows and a model's predictions for them.

    Args:
        checkpoint: Checkpoint of an agent.
        rows: The rows; only the first 65,536 are used.
        probability: The model's probabilities, float [n, tasks].
    """
    critics = load_critics(checkpoint)
    columns = (each[:_ROWS].split(_CHUNK) for each in (rows.categorical, rows.numerical, probability))
    value = torch.cat([critics(*chunk) for chunk in zip(*columns, strict=True)])
    means, spreads = value.mean(dim=0).tolist(), value.std(dim=0, correction=0).tolist()
    return dict(zip(critics.tasks, zip(means, spreads, strict=True), strict=True))
