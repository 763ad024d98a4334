"""Makes a report of what the trainings of a polish left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from datamodules import ImpressionsDataModule
from datamodules.batches import ImpressionBatch
from lightning_modules.compare.bootstrap import Difference
from lightning_modules.polish.arms import BASE, CONTROL, arms
from lightning_modules.polish.critics import LEAST_SPREAD, values
from lightning_modules.polish.differences import Sessions, differences
from lightning_modules.polish.records import Records
from lightning_modules.polish.report import Report
from lightning_modules.polish.settings import PolishSettings


@dataclass(frozen=True)
class Outcome:
    """The trained and tested models of a polish.

    Args:
        settings: The options.
        records: What is on disk of them.
        impressions: What they were tested on.
        seeds: The seeds.
        model: Name of the model.
    """

    settings: PolishSettings
    records: Records
    impressions: ImpressionsDataModule
    seeds: Sequence[int]
    model: str

    def report(self) -> Report:
        """Compare all arms with the control on the same resamples of the test sessions."""
        rows: ImpressionBatch = self.impressions.test_dataloader().rows
        names = [BASE, *(arm.name for arm in arms(self.settings))]
        found = {name: self.records.probabilities(name, self.seeds) for name in names}
        results = self.records.results
        return Report(
            results[results["seed"].isin(self.seeds) & results["arm"].isin(names)],
            self.impressions.tasks,
            CONTROL,
            self._differences({name: each for name, each in found.items() if each is not None}, rows),
            self._setup(rows),
            [*self._on_critics(found[BASE], rows), *self._on_arms([name for name in names if found[name] is None])],
        )

    def _differences(
        self, probabilities: dict[str, torch.Tensor], rows: ImpressionBatch
    ) -> dict[tuple[str, str], Difference]:
        if len(self.seeds) < 2 or CONTROL not in probabilities:
            return {}
        return differences(
            probabilities,
            CONTROL,
            Sessions(rows.label, rows.session, self.impressions.tasks),
            resamples=self.settings.resamples,
            confidence=self.settings.confidence,
            seed=self.seeds[0],
        )

    def _on_critics(self, probability: torch.Tensor | None, rows: ImpressionBatch) -> Iterator[str]:
        for place, seed in enumerate(self.seeds if probability is not None else ()):
            critics = self.records.critics(seed, self.settings.critics)
            for task, (mean, spread) in values(critics, rows, probability[place]).items():  # type: ignore[index]
                note = "; it weighs all rows alike" if spread < LEAST_SPREAD else ""
                yield f"seed {seed}: the critic of {task} has Q {mean:.3f} ± {spread:.3f} over test rows{note}"

    def _on_arms(self, broken: Sequence[str]) -> Iterator[str]:
        if broken:
            yield f"without a finite metric in some seed, and so without differences: {', '.join(broken)}"
        if len(self.seeds) < 2:
            yield "one seed says nothing of the spread between seeds: no differences are tested; take more seeds"

    def _setup(self, rows: ImpressionBatch) -> str:
        settings, rate = self.settings, self.settings.fine_tuning_learning_rate
        return (
            f"{self.model} on {type(self.impressions).__name__}; {len(rows.row)} test rows in "
            f"{len(rows.session.unique())} sessions; seeds {self.seeds[0]} to {self.seeds[-1]}. The base model and "
            f"those trained from scratch stop after {settings.patience} epochs without a better {settings.monitor}; "
            f"every fine-tuning starts from the base model of its seed and takes {settings.fine_tuning_epochs} epochs"
            f"{'' if rate is None else f' with learning rate {rate:g}'}. All are tested once, with the weights of the "
            f"best epoch by {settings.monitor}. '{CONTROL}' has constant weights: what more training alone brings."
        )
