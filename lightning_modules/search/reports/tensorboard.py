"""The TensorBoard run of a search."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from callbacks.scalar_layout import Layout, write_layout
from lightning_modules.losses import Formula, Numerics, loss_of_formula
from lightning_modules.losses.figures import drawn, loss_figure
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.search.answer import Validation
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchProgress
from lightning_modules.search.reports.scalars import scalars_of
from lightning_modules.search.space import SearchSpace
from lightning_modules.utilities.signals import deferred_signals

#: The charts of a search, beside those of its operators.
LAYOUT: Layout = {
    "Search": {
        "reward: best so far, best and mean of the round": "reward/(best_so_far|best|mean)",
        "reward of the hand-made losses": "reference/.*",
        "share of the round that is better than the baseline": "reward/above_baseline",
        "screening: share of what was drawn that can be trained": "drawn/trainable",
        "screening: shares of what was rejected": "drawn/(?!trainable).*",
    },
    "Strategy": {
        "entropy of its decisions": "policy/entropy",
        "objective: the policy gradient's part, that of imitation": "policy/(gain|imitation)",
        "share of clipped decisions": "policy/clip_fraction",
        "warm-up: right signs and different gradients among its draws": "warm_up/(right_share|distinct)",
    },
}

#: What figures are expected to take before any were drawn, so that a short search draws them once, at its end.
_SECONDS_AT_FIRST = 2.0

_OPERATORS_A_CHART = 5


class SearchTensorBoard(SearchObserver):
    """Writes scalars of every round, the best formulas as text and, where a rank has changed, its figure.

    Figures are written after a round if the search has run ``patience`` times as long as the last ones took, and when
    it ends.

    Args:
        root: The study's folder.
        space: The search space.
        numerics: Numeric protection of the formulas.
        temperature: Temperature of formulas of scores.
        figures: Number of best formulas to draw.
        patience: Ratio of the time between figures to the time that they take.
    """

    def __init__(
        self,
        root: Path,
        space: SearchSpace,
        numerics: Numerics,
        temperature: float = DEFAULT_TEMPERATURE,
        figures: int = 5,
        patience: float = 10.0,
    ) -> None:
        self.writer = SummaryWriter(str(root))
        write_layout(self.writer, {**LAYOUT, "Operators": _operator_charts(space)})
        self.space = space
        self.numerics = numerics
        self.temperature = temperature
        self.figures = figures
        self.patience = patience
        self._references: dict[str, float] = {}
        self._summary: RoundSummary | None = None
        self._seconds = _SECONDS_AT_FIRST
        self._drawn = time.perf_counter()
        self._shown: dict[int, tuple[Formula, float]] = {}
        self._images: dict[tuple[Formula, float], NDArray[np.uint8]] = {}

    def on_resume(self, progress: SearchProgress) -> None:
        """Keep the reference losses."""
        for candidate in progress.candidates:
            self.on_candidate(candidate)

    @deferred_signals()
    def on_warm_up(self, update: int, figures: Mapping[str, float]) -> None:
        """Write the figures of the strategy."""
        for name, value in figures.items():
            self.writer.add_scalar(f"warm_up/{name}", value, update)

    def on_candidate(self, candidate: Candidate) -> None:
        """Keep the reference losses, whose rewards are drawn as lines."""
        if candidate.kind == "reference":
            self._references[candidate.formula] = candidate.reward

    @deferred_signals()
    def on_round(self, summary: RoundSummary) -> None:
        """Write the round."""
        step = summary.round
        for name, value in scalars_of(summary, self._references, self.space).items():
            self.writer.add_scalar(name, value, step)
        lines = [f"1. **{reward:+.5f}** `{formula.shortest()}`" for formula, reward in summary.top]
        self.writer.add_text("top_formulas", "\n".join(lines), step)
        self._summary = summary
        if time.perf_counter() >= self._drawn + self.patience * self._seconds:
            self._draw(summary)
        self.writer.flush()

    @deferred_signals()
    def on_validation(self, validation: Validation) -> None:
        """Write the finalists' results and the answer."""
        found = [(each.difference, each) for each in validation.formulas if each.difference is not None]
        if found:
            self.writer.add_scalar("validated/best", max(difference for difference, _ in found), validation.round)
        lines = [f"1. **{difference:+.5f}** `{Formula.parse(each.formula).shortest()}`" for difference, each in found]
        self.writer.add_text("validated_formulas", "\n".join(lines), validation.round)
        answer = validation.answer
        words = (
            f"`{Formula.parse(answer.formula).shortest()}`"
            if answer
            else f"nothing that beats {validation.baseline} was found"
        )
        self.writer.add_text("answer", words, validation.round)
        self.writer.flush()

    @deferred_signals()
    def on_end(self) -> None:
        """Draw the best formulas of the last round, and close the event file."""
        if self._summary is not None:
            self._draw(self._summary)
        self.writer.close()

    def _draw(self, summary: RoundSummary) -> None:
        """Write the figures of the ranks whose formula is another than that of the figure before."""
        begin = time.perf_counter()
        best = summary.top[: self.figures]
        self._images = {each: self._images[each] if each in self._images else self._image(*each) for each in best}
        for rank, each in enumerate(best, 1):
            if self._shown.get(rank) != each:
                self.writer.add_image(f"top_formulas/{rank}", self._images[each], summary.round, dataformats="HWC")
        self._shown = dict(enumerate(best, 1))
        self._drawn = time.perf_counter()
        self._seconds = self._drawn - begin

    def _image(self, formula: Formula, reward: float) -> NDArray[np.uint8]:
        loss = loss_of_formula(formula, self.numerics, self.temperature)
        return drawn(loss_figure(loss, f"reward {reward:+.4f}: {formula.shortest()}"))


def _operator_charts(space: SearchSpace) -> dict[str, str]:
    """Return charts of a few operators each."""
    names = [operator.name for operator in space.operators]
    chunks = [names[start : start + _OPERATORS_A_CHART] for start in range(0, len(names), _OPERATORS_A_CHART)]
    return {", ".join(chunk): f"operators/({'|'.join(chunk)})" for chunk in chunks}
