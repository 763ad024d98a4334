"""The progress bars of a search in the terminal."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from lightning_modules.search.answer import FinalistRun, Validation
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchProgress
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.progress import Bars
from lightning_modules.utilities.time_left import Clock, TimeLeft

_BASELINE, _REFERENCES, _WARM_UP = "baseline", "reference losses", "warm-up"
_CANDIDATES, _FINALISTS = "candidates", "finalists"


@dataclass(frozen=True)
class ExpectedWork:
    """What a search has to do.

    Attributes:
        rounds: Rounds of the search.
        candidates: Candidates a round.
        warmup_updates: Updates of the strategy before the first round.
        settings: Settings that the baseline is tuned over, if its grid needs no extension.
        references: Number of reference losses.
        finalists: Number of finalists; 0 for none.
        validations: How often finalists are chosen and trained.
        finalist_weight: How long a finalist takes, beside a candidate.
        known_finalists: Names of finalists that were trained before.
        seconds: Returns the seconds in which the rounds have to end; ``None`` sets no limit.
    """

    rounds: int
    candidates: int
    warmup_updates: int
    references: int
    settings: int = 0
    finalists: int = 0
    validations: int = 1
    finalist_weight: float = 1.0
    known_finalists: Collection[str] = ()
    seconds: Callable[[], float] | None = None


class ProgressDisplay(SearchObserver):
    """Shows the round, the candidates done, the best reward so far and the time left of the whole search.

    Args:
        console: The terminal.
        work: What is to be done.
        clock: Tells the time.
    """

    def __init__(self, console: Console, work: ExpectedWork, clock: Clock = time.monotonic) -> None:
        self.work = work
        self.progress = Bars(console, TimeLeft(clock))
        self._best = float("-inf")
        self._seen: set[str] = set()
        self._validations = work.validations
        self._baseline = self.progress.add_bar(_BASELINE, work.settings + 1)
        self._references = self.progress.add_bar(_REFERENCES, work.references, visible=work.references > 0)
        self._warm_up = self.progress.add_bar(_WARM_UP, work.warmup_updates, visible=work.warmup_updates > 0)
        self._search = self.progress.add_bar(_CANDIDATES, work.rounds * work.candidates, visible=False)
        self._finalists = self.progress.add_bar(_FINALISTS, self._new_finalists(), visible=False)
        self._plan()
        self.progress.start()

    def on_resume(self, progress: SearchProgress) -> None:
        """Show the finished rounds."""
        for candidate in progress.candidates:
            self._show(candidate, known=True)
        self.progress.update(self._warm_up, completed=progress.warm_up)
        self.progress.update(self._search, completed=progress.rounds * self.work.candidates)
        self._plan()

    def on_setting(self, setting: Setting, score: float | None) -> None:
        """Count a setting of the baseline, and show its score; more may be tried than were planned."""
        bar = self.progress.tasks[self._baseline]
        note = f"{setting.words}: {'failed' if score is None else f'{score:.4f}'}"
        total = max(bar.total or 0, bar.completed + 2)
        self.progress.update(self._baseline, advance=1, total=total, note=note)

    def on_baseline(self) -> None:
        """Count the baseline, whose tuning takes many times as long as another loss."""
        bar = self.progress.tasks[self._baseline]
        self.progress.time_left.done(_BASELINE)
        self.progress.update(self._baseline, advance=1, total=bar.completed + 1)

    def on_warm_up(self, update: int, figures: Mapping[str, float]) -> None:
        """Count the update."""
        note = f"right direction {figures['right_share']:.0%} of draws" if "right_share" in figures else ""
        self.progress.time_left.done(_WARM_UP)
        self.progress.update(self._warm_up, completed=update, note=note)

    def on_candidate(self, candidate: Candidate) -> None:
        """Count the candidate and show the best reward so far."""
        self._show(candidate, known=False)

    def on_round(self, summary: RoundSummary) -> None:
        """Count candidates that the round found no programs for as done."""
        self.progress.update(self._search, completed=summary.round * self.work.candidates, visible=True)
        self._plan()

    def on_finalist(self, runs: Sequence[FinalistRun]) -> None:
        """Count a finalist or the baseline beside them, once."""
        name = runs[0].name
        if name in self._seen:
            return
        self._seen.add(name)
        self.progress.time_left.done(_FINALISTS, known=name in self.work.known_finalists)
        note = "each tuned and trained to convergence"
        self.progress.update(self._finalists, advance=1, visible=True, note=note)

    def on_validation(self, validation: Validation) -> None:  # noqa: ARG002
        """Count what is left of the finalists from here, as some are finalists again and others were not found."""
        self._validations -= 1
        done = self.progress.tasks[self._finalists].completed
        self.progress.update(self._finalists, total=done + self._new_finalists())
        self._plan()

    def _show(self, candidate: Candidate, *, known: bool) -> None:
        if candidate.kind == "reference":
            self.progress.time_left.done(_REFERENCES, known=known)
            self.progress.update(self._references, advance=1)
            return
        if candidate.status == "trained":
            self._best = max(self._best, candidate.reward)
        best = "none trained yet" if math.isinf(self._best) else f"best {self._best:+.4f}"
        note = f"round {candidate.round}/{self.work.rounds}, {best}"
        self.progress.time_left.done(_CANDIDATES, known=known)
        self.progress.update(self._search, advance=1, visible=True, note=note)

    def _new_finalists(self) -> int:
        """Return the most finalists that are still to be trained, with the baseline, which is trained once."""
        if not self.work.finalists:
            return 0
        return max(0, self._validations) * self.work.finalists + (not self._seen)

    def _plan(self) -> None:
        """Tell the estimate of the time how much is left of each kind."""
        bars = {_REFERENCES: self._references, _WARM_UP: self._warm_up, _CANDIDATES: self._search}
        left = {
            kind: (self.progress.tasks[bar].total or 0) - self.progress.tasks[bar].completed
            for kind, bar in {**bars, _FINALISTS: self._finalists}.items()
        }
        # Tuning says nothing of the time of a single loss.
        self.progress.time_left.plan(_BASELINE, 0, weight=0)
        self.progress.time_left.plan(_REFERENCES, left[_REFERENCES])
        # An update takes no time beside a training.
        self.progress.time_left.plan(_WARM_UP, left[_WARM_UP], weight=0)
        self.progress.time_left.plan(_CANDIDATES, left[_CANDIDATES], most=self.work.seconds)
        self.progress.time_left.plan(_FINALISTS, left[_FINALISTS], weight=self.work.finalist_weight)

    def on_end(self) -> None:
        """Stop the display and leave it on the screen."""
        self.progress.stop()
