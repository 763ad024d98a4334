"""A live display of a comparison in the terminal."""

from rich.console import Console

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.training import Setting
from lightning_modules.compare.watchers import CompareWatcher
from lightning_modules.progress import Bars

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
