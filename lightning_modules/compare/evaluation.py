"""Evaluates the trained losses of a comparison: bootstrap, audit, remarks, and the report of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from lightning_modules.compare.audit import Verdict, audit
from lightning_modules.compare.compared_losses import ComparedLosses
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.protocol import Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.remarks import remarks
from lightning_modules.compare.repeated_audit import ArmResult, repeated_audit
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.resampling import Resampled, resample
from lightning_modules.compare.results import LossResult, loss_results
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import LossObject
from lightning_modules.training.statuses import FAILED, TRAINED
from lightning_modules.training.tuning import Setting


@dataclass(frozen=True)
class ComparisonEvaluation:
    """Evaluates a comparison whose losses are trained and tested.

    Args:
        settings: The options.
        plan: What was trained of each loss.
        losses: The losses, the baseline first.
        chosen: The setting that was chosen for each, by title.
        records: Their metrics and predictions on disk.
        criterion: What they are compared by.
        model: Name of the model.
        data: Name of the data.
        seed: Seed of the bootstrap and of the points that losses are checked on.
    """

    settings: CompareSettings
    plan: Plan
    losses: ComparedLosses
    chosen: Mapping[str, Setting]
    records: ComparisonRecords
    criterion: Criterion
    model: str
    data: str
    seed: int

    def report(self) -> ComparisonReport:
        """Compare every loss with the baseline, and a search with its opponents, on the same resamples of the rows."""
        runs = {compared.title: self._runs(compared.title) for compared in self.losses.all}
        resampled = self._resampled([title for title, table in runs.items() if (table["status"] == TRAINED).all()])
        results = loss_results(self.losses.all, self.chosen, runs, self._proper(runs), self.criterion, resampled)
        verdict, arms = self._audited(results, resampled)
        level = 1 - self.settings.confidence
        notes = [*self.losses.remarks, *remarks(results, self.plan, verdict, level=level)]
        return ComparisonReport(results, verdict, notes, self._setup(runs), arms, self._basis())

    def _audited(
        self, results: Sequence[LossResult], resampled: Resampled
    ) -> tuple[Verdict | None, Sequence[ArmResult]]:
        """Return the audit of one search or of several, and the arms of several."""
        trained = self.losses.trained_candidates
        if not self.losses.has_repeated_searches:
            return audit(self.losses.searches, results, resampled, trained), ()
        repeated = repeated_audit(self.losses.searches, results, resampled, trained)
        return repeated, repeated.arms

    def _runs(self, title: str) -> pd.DataFrame:
        setting = self.chosen[title]
        found = [self.records.result(title, seed, setting, with_failed=True) for seed in self.plan.seeds]
        return pd.DataFrame([row for row in found if row is not None])

    def _resampled(self, titles: list[str]) -> Resampled:
        return resample(
            self.records,
            self.criterion,
            titles,
            self.plan.seeds,
            by_user=self.settings.resample == "users",
            resamples=self.settings.resamples,
            confidence=self.settings.confidence,
            seed=self.seed,
        )

    def _proper(self, runs: Mapping[str, pd.DataFrame]) -> dict[str, bool]:
        """Return which losses are strictly proper scoring rules, by title."""
        # A loss that failed with every seed cannot be computed here either.
        failed = {title for title, table in runs.items() if (table["status"] == FAILED).all()}
        return {each.title: each.title not in failed and self._is_proper(each.loss) for each in self.losses.all}

    def _is_proper(self, loss: LossObject) -> bool:
        return self.criterion.is_proper(loss, torch.Generator().manual_seed(self.seed))

    def _length(self, runs: Mapping[str, pd.DataFrame]) -> str:
        """Return how long models were trained, in words."""
        epochs = pd.concat(list(runs.values()))["epochs"]
        if (epochs <= 1).all():
            return "one pass over the training rows, tested once after it"
        stops = f"early stopping after {self.settings.patience} validations without a better one"
        return f"{stops}, tested once at the best epoch"

    def _tuned(self) -> str:
        """Return the hyper-parameters that were tuned, in words."""
        names = ["a learning rate", "a weight decay", *(f"a {name}" for name in self.plan.tuning.options)]
        return f"{', '.join(names[:-1])} and {names[-1]}"

    def _basis(self) -> str:
        """Return what the intervals are, in words."""
        label, _ = self.records.rows("test")
        rows, _, _ = self.criterion.rows(label).partition(",")
        seeds = len(self.plan.seeds)
        if seeds < 2:
            return f"no intervals: one seed, {rows}"
        return f"{100 * self.settings.confidence:g} % intervals over {seeds} seeds and {rows}"

    def _setup(self, runs: Mapping[str, pd.DataFrame]) -> str:
        """Return what was compared on what, in words."""
        settings = self.settings
        label, user = self.records.rows("test")
        drawn = self.criterion.units(by_user=settings.resample == "users", user=user)
        tuning = self.plan.tuning
        often = f"until {tuning.trials} settings were tried" if tuning.trials else f"{settings.refinements} times"
        grid = f"a grid of {len(tuning.settings)}, extended where the best lay at an end and refined {often}"
        return (
            f"{self.model} on {self.data}; {self.criterion.rows(label)}; seeds {self.plan.seeds[0]} to "
            f"{self.plan.seeds[-1]}. Every loss has {self._tuned()} of its own, the best of {grid} around the best, by "
            f"mean {settings.monitored} over {len(self.plan.tuning_seeds)} of the seeds; {self._length(runs)}. "
            f"Bootstrap: {settings.resamples} resamples of {drawn}."
        )
