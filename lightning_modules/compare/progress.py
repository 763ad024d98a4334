"""A live display of a comparison in the terminal."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.training import Setting
from lightning_modules.compare.watchers import CompareWatcher

_LONGEST_LABEL = 40


class CompareProgress(CompareWatcher):
    """Shows the trainings done, the time left and what is trained now.

    Args:
        console: Where to write.
        trainings: Number of trainings.
    """

    def __init__(self, console: Console, trainings: int) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._task = self.progress.add_task("trainings", total=trainings, note="")

    def __enter__(self) -> "CompareProgress":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def on_setting(self, entrant: Entrant, setting: Setting) -> None:
        """Show the setting that is tried."""
        self._note(entrant, f"learning rate {setting.learning_rate:g}, weight decay {setting.weight_decay:g}")

    def on_seed(self, entrant: Entrant, seed: int) -> None:
        """Show the seed that is trained."""
        self._note(entrant, f"seed {seed}")

    def on_trained(self) -> None:
        """Count one training."""
        self.progress.advance(self._task)

    def _note(self, entrant: Entrant, what: str) -> None:
        self.progress.update(self._task, note=f"{entrant.label[:_LONGEST_LABEL]}: {what}")
