"""The progress display of a polish in the terminal."""

from rich.console import Console

from lightning_modules.utilities.progress import Bars


class PolishProgress(Bars):
    """Shows the stages done, the time left and what is trained now; ends with its ``with`` block.

    Args:
        console: Where to write.
        stages: Number of stages over all seeds.
    """

    def __init__(self, console: Console, stages: int) -> None:
        super().__init__(console)
        self._task = self.add_task("stages", total=stages, note="")

    def on_stage(self, seed: int, stage: str) -> None:
        """Show the stage that begins."""
        self.update(self._task, note=f"seed {seed}: {stage}")

    def on_stage_end(self) -> None:
        """Count a stage that ended, or had ended in an earlier run."""
        self.update(self._task, advance=1)

    def say(self, seed: int, text: str) -> None:
        """Write a line that stays."""
        self.console.print(f"seed {seed}: {text}", markup=False, highlight=False, soft_wrap=True)
