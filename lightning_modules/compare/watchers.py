"""What a comparison tells those who watch it: the progress display, TensorBoard, the keeper of models."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.training import Setting, Training
from lightning_modules.files import replace_file


class CompareWatcher:
    """Base of everything that watches a comparison; each event does nothing unless overridden."""

    def on_loss(self, entrant: Entrant) -> None:
        """Called before a loss is tuned."""

    def on_setting(self, entrant: Entrant, setting: Setting) -> None:
        """Called before a setting is tried."""

    def on_seed(self, entrant: Entrant, seed: int) -> None:
        """Called before a seed is trained with the chosen setting."""

    def on_trained(self) -> None:
        """Called after every training, and for each that was done before."""

    def on_result(self, entrant: Entrant, row: Mapping[str, Any], training: Training) -> None:
        """Called with every new row of ``results.csv``."""


class ModelKeeper(CompareWatcher):
    """Writes the tested models as checkpoints, for ``predict`` and ``export``.

    Args:
        folder: Where to; the names are those of the predictions.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_result(self, entrant: Entrant, row: Mapping[str, Any], training: Training) -> None:  # noqa: ARG002
        """Write the model, if there is one."""
        trainer, model = training.trainer, training.model
        if trainer is None or model is None:
            return
        path, save = self.folder / f"{row['predictions']}.ckpt", partial(trainer.save_checkpoint, weights_only=True)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, save)
        else:
            # The other processes have their part in it, and write nothing.
            save(path)
