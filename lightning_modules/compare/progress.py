"""The progress display of a comparison in the terminal."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.console import Console

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.events import CompareObserver
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.progress import Bars
from lightning_modules.utilities.time_left import Clock, TimeLeft

_LONGEST_LABEL = 40
_KIND = "trainings"


@dataclass
class _Counted:
    """The trainings of a loss that has begun: planned and begun to tune it, being trained for that, and left in all."""

    planned: int
    left: int
    begun: int = 0
    running: int = 0
    is_tuned: bool = False


class CompareProgress(CompareObserver):
    """Shows the trainings done, the time left of all and what is trained now.

    Nobody knows how often a grid is extended: the total grows before a training that it does not have, and losses that
    are still to come are expected to take as many more as those before them did.

    Args:
        console: Where to write.
        tuning: Trainings that tune each loss, in their order, if its grid needs no extension.
        further: Trainings of a loss once it is tuned.
        clock: Tells the time.
    """

    def __init__(self, console: Console, *, tuning: Sequence[int], further: int, clock: Clock = time.monotonic) -> None:
        self._planned = deque(tuning)
        self._further = further
        self._losses: dict[str, _Counted] = {}
        self._overshoots: list[int] = []
        self.progress = Bars(console, TimeLeft(clock))
        self._task = self.progress.add_bar(_KIND, 0)
        self._set_total()

    def on_start(self) -> None:
        """Begin the display."""
        self.progress.start()

    def on_end(self) -> None:
        """End the display."""
        self.progress.stop()

    def on_loss(self, compared: ComparedLoss) -> None:
        """Count what is left of a loss."""
        planned = self._planned.popleft()
        self._losses[compared.title] = _Counted(planned, planned + self._further)
        self._set_total()

    def on_setting(self, compared: ComparedLoss, setting: Setting) -> None:
        """Show the setting that is tried, and count it if it is more than was planned."""
        own = self._losses[compared.title]
        own.begun += 1
        own.running += 1
        own.left = max(own.left, self._further + own.running)
        self._set_total()
        self._note(compared, setting.words)

    def on_seed(self, compared: ComparedLoss, seed: int) -> None:
        """Show the seed that is trained, and count what is left where the first one tells that the loss is tuned."""
        own = self._losses[compared.title]
        if not own.is_tuned:
            self._overshoots.append(own.begun - own.planned)
            own.is_tuned, own.running, own.left = True, 0, self._further
            self._set_total()
        self._note(compared, f"seed {seed}")

    def on_trained(self, compared: ComparedLoss, *, known: bool = False) -> None:
        """Count one training."""
        own = self._losses[compared.title]
        own.left -= 1
        own.running -= 1
        self.progress.time_left.done(_KIND, known=known)
        self.progress.update(self._task, advance=1)

    def _set_total(self) -> None:
        begun = sum(own.left for own in self._losses.values())
        others = sum(self._planned) + len(self._planned) * self._further
        overshoot = round(fmean(self._overshoots) * len(self._planned)) if self._overshoots else 0
        left = begun + max(0, others + overshoot)
        self.progress.time_left.plan(_KIND, left)
        self.progress.update(self._task, total=self.progress.tasks[self._task].completed + left)

    def _note(self, compared: ComparedLoss, what: str) -> None:
        self.progress.update(self._task, note=f"{shortened(compared.label, _LONGEST_LABEL)}: {what}")
