"""The progress bars of a search in the terminal."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Console

from lightning_modules.search.answer import FinalistRun
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchProgress
from lightning_modules.utilities.progress import Bars


class ProgressDisplay(SearchObserver):
    """Shows the round, the candidates done, the best reward so far and the time left.

    Args:
        console: The terminal.
        rounds: Rounds of the search.
        candidates: Candidates a round.
        warmup_updates: Updates of the strategy before the first round.
        references: Number of reference losses.
        finalists: Number of finalists; 0 for none.
    """

    def __init__(
        self,
        console: Console,
        *,
        rounds: int,
        candidates: int,
        warmup_updates: int,
        references: int,
        finalists: int = 0,
    ) -> None:
        self.rounds = rounds
        self.candidates = candidates
        self.progress = Bars(console)
        self._best = float("-inf")
        self._references = self.progress.add_task("reference losses", total=references, note="", visible=references > 0)
        self._warm_up = self.progress.add_task("warm-up", total=warmup_updates, note="", visible=warmup_updates > 0)
        self._search = self.progress.add_task("candidates", total=rounds * candidates, note="", visible=False)
        # The baseline is trained beside them.
        self._finalists = self.progress.add_task("finalists", total=finalists + 1, note="", visible=False)
        self.progress.start()

    def on_resume(self, progress: SearchProgress) -> None:
        """Show the finished rounds."""
        for candidate in progress.candidates:
            self.on_candidate(candidate)
        self.progress.update(self._warm_up, completed=progress.warm_up)
        self.progress.update(self._search, completed=progress.rounds * self.candidates)

    def on_warm_up(self, update: int, figures: Mapping[str, float]) -> None:
        """Count the update."""
        note = f"right direction {figures['right_share']:.0%} of draws" if "right_share" in figures else ""
        self.progress.update(self._warm_up, completed=update, note=note)

    def on_candidate(self, candidate: Candidate) -> None:
        """Count the candidate and show the best reward so far."""
        if candidate.kind == "reference":
            self.progress.update(self._references, advance=1)
            return
        if candidate.status == "trained":
            self._best = max(self._best, candidate.reward)
        best = "none trained yet" if math.isinf(self._best) else f"best {self._best:+.4f}"
        note = f"round {candidate.round}/{self.rounds}, {best}"
        self.progress.update(self._search, advance=1, visible=True, note=note)

    def on_round(self, summary: RoundSummary) -> None:
        """Count candidates that the round found no programs for as done."""
        self.progress.update(self._search, completed=summary.round * self.candidates, visible=True)

    def on_finalist(self, runs: Sequence[FinalistRun]) -> None:  # noqa: ARG002
        """Count the finalist; after all of them others are counted from 1."""
        task = self.progress.tasks[self._finalists]
        done = 1 if task.finished else task.completed + 1
        note = "each tuned and trained to convergence"
        self.progress.update(self._finalists, completed=done, visible=True, note=note)

    def on_end(self) -> None:
        """Stop the display and leave it on the screen."""
        self.progress.stop()
