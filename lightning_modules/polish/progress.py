"""The progress display of a polish in the terminal."""

import time
from collections.abc import Mapping

from rich.console import Console

from lightning_modules.utilities.progress import Bars
from lightning_modules.utilities.row_table import tell
from lightning_modules.utilities.time_left import Clock, TimeLeft


class PolishProgress(Bars):
    """Shows the stages done, the time left of all and what is trained now; ends with its ``with`` block.

    Args:
        console: Where to write.
        stages: The stages of a seed, and how long each takes beside the others.
        seeds: Number of seeds.
        clock: Tells the time.
    """

    def __init__(
        self, console: Console, stages: Mapping[str, float], seeds: int, *, clock: Clock = time.monotonic
    ) -> None:
        super().__init__(console, TimeLeft(clock))
        for stage, weight in stages.items():
            self.time_left.plan(stage, seeds, weight=weight)
        self._task = self.add_bar("stages", len(stages) * seeds)
        self._is_known = True

    def on_stage(self, seed: int, stage: str) -> None:
        """Show the stage that begins."""
        self._is_known = False
        self.update(self._task, note=f"seed {seed}: {stage}")

    def on_stage_end(self, stage: str) -> None:
        """Count a stage that ended, or had ended in an earlier run and did not begin."""
        self.time_left.done(stage, known=self._is_known)
        self._is_known = True
        self.update(self._task, advance=1)

    def say(self, seed: int, text: str) -> None:
        """Write a line that stays."""
        tell(self.console, f"seed {seed}: {text}")
