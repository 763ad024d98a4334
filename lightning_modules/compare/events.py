"""What a comparison tells its observers, and the progress display among them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from lightning_modules.compare.entrants import Entrant
from lightning_modules.training.convergence import Setting, TrainingRun
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.progress import Bars


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

    def on_result(self, entrant: Entrant, row: Mapping[str, Any], training: TrainingRun) -> None:
        """Called with every new row of ``results.csv``."""


class ModelKeeper(CompareWatcher):
    """Writes the tested models as checkpoints, for ``predict`` and ``export``.

    Args:
        folder: Where to; the names are those of the predictions.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_result(self, entrant: Entrant, row: Mapping[str, Any], training: TrainingRun) -> None:  # noqa: ARG002
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


_LONGEST_LABEL = 40


class CompareProgress(CompareWatcher):
    """Shows the trainings done, the time left and what is trained now.

    Args:
        console: Where to write.
        losses: Number of losses.
        trainings: Trainings of a loss whose grid needs no extension; the total follows those that do.
    """

    def __init__(self, console: Console, *, losses: int, trainings: int) -> None:
        self._left = losses
        self._trainings = trainings
        self.progress = Bars(console)
        self._task = self.progress.add_task("trainings", total=losses * trainings, note="")

    def __enter__(self) -> "CompareProgress":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def on_loss(self, entrant: Entrant) -> None:  # noqa: ARG002
        """Count what is left from here."""
        done = self.progress.tasks[self._task].completed
        self.progress.update(self._task, total=done + self._left * self._trainings)
        self._left -= 1

    def on_setting(self, entrant: Entrant, setting: Setting) -> None:
        """Show the setting that is tried."""
        self._note(entrant, f"learning rate {setting.learning_rate:g}, weight decay {setting.weight_decay:g}")

    def on_seed(self, entrant: Entrant, seed: int) -> None:
        """Show the seed that is trained."""
        self._note(entrant, f"seed {seed}")

    def on_trained(self) -> None:
        """Count one training."""
        self.progress.update(self._task, advance=1)

    def _note(self, entrant: Entrant, what: str) -> None:
        self.progress.update(self._task, note=f"{entrant.label[:_LONGEST_LABEL]}: {what}")
