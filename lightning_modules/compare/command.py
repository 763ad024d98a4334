"""Puts a comparison together from its options and runs it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from rich.console import Console

from lightning_modules.check import check_loss
from lightning_modules.compare.audit import audit
from lightning_modules.compare.entrants import Entrant, Entrants, gather
from lightning_modules.compare.events import CompareProgress, CompareWatcher, ModelKeeper
from lightning_modules.compare.protocol import EffectivenessTest, Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.remarks import remarks
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.results import Resampled, resample, standings
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.compare.tensorboard import ComparisonTensorBoard
from lightning_modules.core.run_config import continue_with_data
from lightning_modules.losses import Loss
from lightning_modules.training.convergence import FAILED, TRAINED, FullTraining, Setting, builder
from lightning_modules.training.predictions import refuse_several_probabilities
from lightning_modules.utilities.files import remove_leftovers
from lightning_modules.utilities.folder_lock import folder_lock
from lightning_modules.utilities.processes import is_first, torch_threads


def run_compare(
    settings: CompareSettings,
    *,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer_recipe: Mapping[str, Any],
    seed: int,
    save_config: Callable[[Path], None],
) -> ComparisonReport:
    """Compare losses: train models to convergence with each of them, test them, write and print the report.

    Args:
        settings: The options.
        model: A model with its hyper-parameters saved; every training starts from a new one like it.
        datamodule: What models are trained, validated and tested on.
        trainer_recipe: Arguments of every Trainer.
        seed: Seed of the first training; the next has one more, and so on. Also that of the bootstrap.
        save_config: Writes the configuration to a path, after checking that it continues what is there.

    Raises:
        FileNotFoundError: If a study or file of formulas is not there.
        OSError: If the folder cannot be written.
        RuntimeError: If the baseline cannot be trained.
        ValueError: If an option, formula, study, the model or the data cannot be used or are not those that were begun
            with, or another process writes there.
    """
    return Comparison(settings, builder(model), datamodule, trainer_recipe, seed).run(save_config)


@dataclass(frozen=True)
class Comparison:
    """A comparison with everything that it needs.

    Args:
        settings: The options.
        build: Returns a freshly initialised model.
        datamodule: What models are trained, validated and tested on.
        trainer_recipe: Arguments of every Trainer.
        seed: Seed of the first training; the next has one more, and so on. Also that of the bootstrap.
    """

    settings: CompareSettings
    build: Callable[[], pl.LightningModule]
    datamodule: pl.LightningDataModule
    trainer_recipe: Mapping[str, Any]
    seed: int

    def run(self, save_config: Callable[[Path], None]) -> ComparisonReport:
        """Train what is not trained yet, write and print the outcome.

        Args:
            save_config: Writes the configuration to a path, after checking that it continues what is there.

        Raises:
            FileNotFoundError: If a study or file of formulas is not there.
            OSError: If the folder cannot be written.
            RuntimeError: If the baseline cannot be trained.
            ValueError: If an option, formula, study or the data cannot be used or are not those that were begun with,
                or another process writes there.
        """
        console, root = Console(quiet=not is_first()), Path(self.settings.root)
        entrants = gather(self.settings, points_seed=self.seed)
        for remark in entrants.remarks:
            console.print(f"- {remark}", markup=False, highlight=False)
        model = self._model_name([entrant.loss for entrant in entrants.all])
        with self._locked(root), torch_threads(self.settings.threads):
            records = self._open(root, save_config)
            board = ComparisonTensorBoard(root, model, type(self.datamodule).__name__)
            chosen = self._train(entrants, records, console, board)
            report = self._report(entrants, chosen, records, model)
            if is_first():
                report.write(root)
                board.write(report)
        report.print(console, root)
        return report

    def _locked(self, root: Path) -> AbstractContextManager[None]:
        # Only the first process writes; the others walk in step with it.
        remedy = "name another folder with --root"
        return folder_lock(root, "comparison", remedy) if is_first() else nullcontext()

    def _open(self, root: Path, save_config: Callable[[Path], None]) -> ComparisonRecords:
        """Return what was trained, after refusing other settings and data than that was trained with."""
        if is_first():
            for folder in (root, root / "predictions", root / "checkpoints"):
                remove_leftovers(folder)
            save_config(root / "config.yaml")
        records = ComparisonRecords(root, writes=is_first())
        if is_first():
            continue_with_data(root, self.datamodule, begun=not records.is_empty)
        return records

    def _model_name(self, losses: Sequence[Loss]) -> str:
        """Return the name of the model, after refusing one that a comparison cannot train or score."""
        model = self.build()
        for loss in losses:
            loss.check_model(model)
        refuse_several_probabilities(model, self.datamodule)
        return type(model).__name__

    @property
    def plan(self) -> Plan:
        """What is trained of each loss."""
        seeds = range(self.seed, self.seed + self.settings.seeds)
        return Plan.of(
            self.settings.learning_rates,
            self.settings.weight_decays,
            seeds,
            self.settings.tuning_seeds,
            extensions=self.settings.extensions,
            refinements=self.settings.refinements,
        )

    def _train(
        self, entrants: Entrants, records: ComparisonRecords, console: Console, board: ComparisonTensorBoard
    ) -> dict[str, Setting]:
        with CompareProgress(console, losses=len(entrants.all), trainings=self.plan.trainings) as progress:
            watchers: list[CompareWatcher] = [progress, *([board] if is_first() else [])]
            if self.settings.save_checkpoints:
                watchers.append(ModelKeeper(Path(self.settings.root) / "checkpoints"))
            test = EffectivenessTest(self._training(), self.plan, records, watchers)
            baseline, *others = entrants.all
            chosen = {baseline.title: test(baseline)}
            _require_baseline(baseline, records)
            return chosen | {entrant.title: test(entrant) for entrant in others}

    def _training(self) -> FullTraining:
        return FullTraining(
            self.build,
            self.datamodule,
            self.trainer_recipe,
            monitor=self.settings.monitor,
            mode=self.settings.mode,
            patience=self.settings.patience,
        )

    def _report(
        self, entrants: Entrants, chosen: Mapping[str, Setting], records: ComparisonRecords, model: str
    ) -> ComparisonReport:
        runs = {entrant.title: self._runs(records, entrant.title, chosen) for entrant in entrants.all}
        sound = [title for title, table in runs.items() if (table["status"] == TRAINED).all()]
        resampled = self._resample(records, sound)
        # A loss that failed with every seed cannot be computed here either.
        failed = [title for title, table in runs.items() if (table["status"] == FAILED).all()]
        proper = {each.title: each.title not in failed and self._is_proper(each.loss) for each in entrants.all}
        standing = standings(entrants.all, chosen, runs, proper, resampled)
        verdict = audit(standing, resampled, entrants.budget)
        level = 1 - self.settings.confidence
        notes = [*entrants.remarks, *remarks(standing, self.plan, verdict, level=level)]
        return ComparisonReport(standing, verdict, notes, self._setup(records, model))

    def _resample(self, records: ComparisonRecords, titles: list[str]) -> Resampled:
        return resample(
            records,
            titles,
            self.plan.seeds,
            by_user=self.settings.resample == "users",
            resamples=self.settings.resamples,
            confidence=self.settings.confidence,
            seed=self.seed,
        )

    def _runs(self, records: ComparisonRecords, title: str, chosen: Mapping[str, Setting]) -> pd.DataFrame:
        found = [records.result(title, seed, chosen[title], with_failed=True) for seed in self.plan.seeds]
        return pd.DataFrame([row for row in found if row is not None])

    def _is_proper(self, loss: Any) -> bool:
        return check_loss(loss, generator=torch.Generator().manual_seed(self.seed)).proper == "yes"

    def _setup(self, records: ComparisonRecords, model: str) -> str:
        settings = self.settings
        label, user = records.rows("test")
        drawn = f"{len(user.unique())} users" if settings.resample == "users" else "rows"
        grid = f"a grid of {len(self.plan.tuning.settings)}, extended where the best lay at an end and refined"
        return (
            f"{model} on {type(self.datamodule).__name__}; {len(label)} test rows, {int(label.sum())} of "
            f"them positive; seeds {self.plan.seeds[0]} to {self.plan.seeds[-1]}. Every loss has a learning rate and a "
            f"weight decay of its own, the best of {grid} {settings.refinements} times around the best, by mean "
            f"{settings.monitor} over {len(self.plan.tuning_seeds)} of the seeds; early stopping after "
            f"{settings.patience} epochs without a better one, tested once at the best epoch. Bootstrap: "
            f"{settings.resamples} resamples of {drawn}."
        )


def _require_baseline(baseline: Entrant, records: ComparisonRecords) -> None:
    results = records.results
    rows = results[results["loss"] == baseline.title]
    if not (rows["status"] == TRAINED).any():
        row = rows.iloc[0]
        raise RuntimeError(
            f"the baseline {baseline.label} could not be trained ({row['status']}). "
            f"{row['error'] or 'Its loss or metric is not finite: look at the learning rates and the labels.'}"
        )
