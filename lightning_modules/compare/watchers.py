"""What a comparison tells those who watch it: the progress display, TensorBoard, the keeper of models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.training import Setting, Training


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
        if training.trainer is not None and training.model is not None:
            training.trainer.save_checkpoint(self.folder / f"{row['predictions']}.ckpt", weights_only=True)
