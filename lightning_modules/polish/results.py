"""Evaluates the trained models of a polish: differences to the control, remarks, and the report of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from datamodules import ImpressionsDataModule
from datamodules.batches import ImpressionBatch
from lightning_modules.polish.arms import BASE, CONTROL, Arm
from lightning_modules.polish.critic_fitting import LEAST_SPREAD, values
from lightning_modules.polish.differences import Sessions, differences
from lightning_modules.polish.records import PolishRecords
from lightning_modules.polish.report import PolishReport
from lightning_modules.polish.settings import PolishSettings
from lightning_modules.statistics.significance import Difference


@dataclass(frozen=True)
class PolishResults:
    """The trained and tested models of a polish.

    Args:
        settings: The options.
        arms: What was trained beside the base model.
        records: Their metrics and predictions on disk.
        impressions: What they were tested on.
        seeds: The seeds.
        model: Name of the model.
        max_epochs: The most epochs of the base model and of those trained from scratch; None or -1 for any number.
        validate_every: Epochs from one validation to the next.
        limits: The Trainer's options that may have ended a training.
    """

    settings: PolishSettings
    arms: Sequence[Arm]
    records: PolishRecords
    impressions: ImpressionsDataModule
    seeds: Sequence[int]
    model: str
    max_epochs: int | None
    validate_every: int = 1
    limits: Sequence[str] = ("max_epochs",)

    def report(self) -> PolishReport:
        """Compare all arms with the control on the same resamples of the test sessions.

        Raises:
            ValueError: If the test rows are not those of the predictions.
        """
        rows: ImpressionBatch = self.impressions.test_dataloader().rows
        names = [BASE, *(arm.name for arm in self.arms)]
        found = {name: self._logit(name, rows) for name in names}
        sound = {name: each for name, each in found.items() if each is not None and each.isfinite().all()}
        return PolishReport(
            results=self.records.results(names, self.seeds),
            tasks=self.impressions.tasks,
            control=CONTROL,
            differences=self._differences(sound, rows),
            setup=self._setup(rows),
            remarks=[
                *self._on_critics(found[BASE], rows),
                *self._on_broken([name for name in names if name not in sound]),
                *self._on_unfinished(),
            ],
        )

    def _logit(self, arm: str, rows: ImpressionBatch) -> torch.Tensor | None:
        found = self.records.logits(arm, self.seeds)
        if found is not None and found.shape[1:] != rows.label.shape:
            raise ValueError(
                f"'{self.settings.root}' was begun with other data: the predictions of '{arm}' are for "
                f"{found.shape[1]} test rows, and there are {len(rows.label)}. Name a new --polish.root"
            )
        return found

    def _differences(self, logits: dict[str, torch.Tensor], rows: ImpressionBatch) -> dict[tuple[str, str], Difference]:
        if len(self.seeds) < 2 or CONTROL not in logits:
            return {}
        return differences(
            logits,
            CONTROL,
            Sessions(rows.label, rows.session, self.impressions.tasks),
            resamples=self.settings.resamples,
            confidence=self.settings.confidence,
            seed=self.seeds[0],
        )

    def _on_critics(self, logit: torch.Tensor | None, rows: ImpressionBatch) -> Iterator[str]:
        if logit is None or not self._uses_critics:
            return
        for seed, predicted in zip(self.seeds, torch.sigmoid(logit.float()), strict=True):
            critics = self.records.critics(seed, self.settings.critics)
            for task, (mean, spread) in values(critics, rows, predicted).items():
                note = "; it weighs all rows alike" if spread < LEAST_SPREAD else ""
                yield f"seed {seed}: the critic of {task} has Q {mean:.3f} ± {spread:.3f} over test rows{note}"

    def _on_broken(self, broken: Sequence[str]) -> Iterator[str]:
        if broken:
            yield f"without a finite metric in some seed, and so without differences: {'; '.join(broken)}"
        if len(self.seeds) < 2:
            yield "one seed says nothing of the spread between seeds: no differences are tested; take more seeds"

    def _on_unfinished(self) -> Iterator[str]:
        arms = [BASE, *(arm.name for arm in self.arms if not arm.fine_tuned)]
        results = self.records.results(arms, self.seeds)
        unfinished = results.loc[[self._is_unfinished(row) for _, row in results.iterrows()], "arm"].unique()
        if len(unfinished):
            limits = " or ".join(f"trainer.{limit}" for limit in self.limits)
            yield (
                f"ended by {limits} before {self.settings.monitor} had stopped getting better, for one seed "
                f"at least: {'; '.join(unfinished)}"
            )

    def _is_unfinished(self, row: pd.Series) -> bool:
        limited = row.get("limited")
        if limited in ("yes", "no"):
            return bool(row["epoch"]) and limited == "yes"
        # Of a polish that an earlier version has begun.
        waited = self.settings.patience * self.validate_every
        return self.max_epochs not in (None, -1) and row["epoch"] > self.max_epochs - waited

    def _setup(self, rows: ImpressionBatch) -> str:
        settings, rate = self.settings, self.settings.fine_tuning_learning_rate
        seeds = f"seeds {self.seeds[0]} to {self.seeds[-1]}" if len(self.seeds) > 1 else f"seed {self.seeds[0]}"
        return (
            f"{self.model} on {type(self.impressions).__name__}; {len(rows.row)} test rows in "
            f"{len(rows.session.unique())} sessions; {seeds}. The base model and "
            f"those trained from scratch stop after {settings.patience} validations without a better "
            f"{settings.monitor}; every fine-tuning starts from the base model of its seed and takes "
            f"{settings.fine_tuning_epochs} epochs{'' if rate is None else f' with learning rate {rate:g}'}. All are "
            f"tested once, with the weights of the best epoch by {settings.monitor}. "
            f"'{CONTROL}' has constant weights: what more training alone brings."
            f"{self._of_critics() if self._uses_critics else ''}"
        )

    def _of_critics(self) -> str:
        if self.settings.critics is not None:
            return f" Q is that of {self.settings.critics} for all seeds."
        return f" Q is learned in {self.settings.agent_epochs} epochs of the sessions, with the base model of the seed."

    @property
    def _uses_critics(self) -> bool:
        return any(arm.loss is not None for arm in self.arms)
