"""Keeps the tested models of a comparison."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.events import CompareObserver
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.trainers import attached_trainer
from lightning_modules.utilities.files import replace_file


class CheckpointWriter(CompareObserver):
    """Writes the tested models as checkpoints, for ``predict`` and ``export``.

    Args:
        folder: Where to; the names are those of the predictions.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:  # noqa: ARG002
        """Write the model, if there is one."""
        if run.model is None:
            return
        trainer = run.trainer or attached_trainer(run.model)
        path, save = self.folder / f"{row['predictions']}.ckpt", partial(trainer.save_checkpoint, weights_only=True)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, save)
        else:
            # All processes have to call it; only the first one writes.
            save(path)
