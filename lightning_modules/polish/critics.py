"""Fits the critics of one seed, and says what their values look like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from pytorch_lightning.loggers import TensorBoardLogger

from datamodules import ImpressionsDataModule, SessionsDataModule
from datamodules.batches import ImpressionBatch
from lightning_modules.agents import ActorCritic
from lightning_modules.agents.critics import load_critics
from lightning_modules.files import replace_file
from lightning_modules.recipes import fit, quiet_lightning, quiet_trainer

#: Below this spread over rows a critic weighs all rows alike.
LEAST_SPREAD = 1e-4
_ROWS = 65_536


@dataclass(frozen=True)
class Fitting:
    """How critics are fitted.

    Args:
        agent: Makes the agent of the checkpoint of its actor.
        impressions: The data whose sessions it learns from.
        recipe: Arguments of the Trainer; early stopping, checkpoints and gradient clipping of its own are left out.
        epochs: Passes over the logged sessions.
        rows: Logged rows that the agent acts on in each update.
    """

    agent: Callable[[Path], ActorCritic]
    impressions: ImpressionsDataModule
    recipe: Mapping[str, Any]
    epochs: int
    rows: int

    def __call__(self, actor: Path, seed: int, checkpoint: Path) -> None:
        """Fit the critics to the sessions and write the agent's checkpoint.

        Args:
            actor: Checkpoint of the model whose predictions are the actions.
            seed: Seed of the critics, the actions and the replay.
            checkpoint: File to write; TensorBoard's curves lie in a folder of its name without the ending.
        """
        with quiet_lightning(), torch.random.fork_rng():
            torch.manual_seed(seed)
            agent = self.agent(actor)
            trainer = self._trainer(checkpoint)
            torch.manual_seed(seed)
            fit(trainer, agent, SessionsDataModule(self.impressions, batch_size=self.rows))
            replace_file(checkpoint, lambda path: trainer.save_checkpoint(path, weights_only=True))

    def _trainer(self, checkpoint: Path) -> pl.Trainer:
        # Agents optimize by hand, where Lightning refuses to clip; they have an option of their own for it.
        recipe = {name: value for name, value in self.recipe.items() if not name.startswith("gradient_clip")}
        return quiet_trainer(
            recipe,
            [],
            without=(Checkpoint, EarlyStopping),
            max_epochs=self.epochs,
            logger=TensorBoardLogger(checkpoint.parent, name=checkpoint.stem, version=""),
        )


@torch.no_grad()
def values(checkpoint: Path, rows: ImpressionBatch, probability: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Return mean and spread of every task's critic on rows and what a model predicts for them.

    Args:
        checkpoint: Checkpoint of an agent.
        rows: The rows; of many the first are taken.
        probability: The model's probabilities, float [n, tasks].
    """
    critics = load_critics(checkpoint)
    q = critics(rows.categorical[:_ROWS], rows.numerical[:_ROWS], probability[:_ROWS])
    return {
        task: (float(each.mean()), float(each.std())) for task, each in zip(critics.tasks, q.unbind(1), strict=True)
    }
