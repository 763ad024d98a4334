"""A live display of a polish in the terminal."""

from rich.console import Console

from lightning_modules.progress import Bars


class PolishProgress(Bars):
    """Shows the stages done, the time left and what is trained now.

    Args:
        console: Where to write.
        stages: Number of stages over all seeds.
    """

    def __init__(self, console: Console, stages: int) -> None:
        super().__init__(console)
        self._task = self.add_task("stages", total=stages, note="")

    def on_stage(self, seed: int, what: str) -> None:
        """Show what begins."""
        self.update(self._task, note=f"seed {seed}: {what}")

    def on_done(self) -> None:
        """Count a stage that ended, or had ended before a stop."""
        self.update(self._task, advance=1)

    def say(self, seed: int, what: str) -> None:
        """Write a line that stays."""
        self.console.print(f"seed {seed}: {what}", markup=False, highlight=False, soft_wrap=True)
