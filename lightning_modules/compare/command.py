"""Runs a comparison: trains what is not trained yet, tests it, writes and prints the report."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from lightning_modules.compare.checkpoint_writer import CheckpointWriter
from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.criteria import Criterion, RanksCatalogue
from lightning_modules.compare.evaluation import ComparisonEvaluation
from lightning_modules.compare.events import CompareObserver, CompareObservers
from lightning_modules.compare.gathering import gather
from lightning_modules.compare.model_criteria import criterion_of
from lightning_modules.compare.progress import CompareProgress
from lightning_modules.compare.protocol import EffectivenessTest, Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.compare.tensorboard import ComparisonTensorBoard
from lightning_modules.compare.training import MeasuredTraining
from lightning_modules.core.run_config import continue_with_data
from lightning_modules.training.convergence import builder
from lightning_modules.training.executors import opened_executor, refuse_several_devices
from lightning_modules.training.statuses import TRAINED
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.files import remove_leftovers
from lightning_modules.utilities.folder_lock import folder_lock
from lightning_modules.utilities.processes import broadcast_from_first, is_first, quick_collections, torch_threads
from lightning_modules.utilities.row_table import tell


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
    refuse_several_devices(settings.executor, trainer_recipe, "--compare.executor")
    settings = settings.of_model(model)
    console, root = Console(quiet=not is_first()), Path(settings.root)
    build, plan = builder(model), _plan(settings, seed)
    first = build()
    criterion = criterion_of(first, settings.monitored)
    losses = gather(settings, criterion, points_seed=seed)
    losses = replace(losses, remarks=(*losses.remarks, *plan.shortfalls(losses.all)))
    for remark in losses.remarks:
        tell(console, f"- {remark}")
    _check_model(first, losses.all, datamodule, len(criterion.parts))
    with _locked(root), torch_threads(settings.threads), quick_collections():
        records = _open(root, criterion, datamodule, save_config)
        if not records.is_empty:
            tell(console, f"Continuing the comparison in {root}: {records.words}.")
        names = type(model).__name__, type(datamodule).__name__
        board = ComparisonTensorBoard(root, criterion, losses.all, *names)
        observers = _observers(settings, plan, losses.all, console, board)
        training = _training(settings, criterion, build, datamodule, trainer_recipe)
        with opened_executor(settings) as executor:
            if settings.executor != "serial":
                training.say_how()
            test = EffectivenessTest(training, plan, records, observers, executor)
            chosen = _train(test, losses.all, observers)
        # The other processes read what the first one has written.
        broadcast_from_first(None)
        report = ComparisonEvaluation(settings, plan, losses, chosen, records, criterion, *names, seed).report()
        if is_first():
            report.write(root)
            board.write(report)
    report.print(console, root)
    return report


def _plan(settings: CompareSettings, seed: int) -> Plan:
    return Plan.of(
        settings.learning_rates,
        settings.weight_decays,
        range(seed, seed + settings.seeds),
        settings.tuning_seeds,
        extensions=settings.extensions,
        refinements=settings.refinements,
        options=settings.loss_options,
        trials=settings.trials,
    )


def _check_model(
    model: pl.LightningModule, losses: Sequence[ComparedLoss], datamodule: pl.LightningDataModule, tasks: int
) -> None:
    """Refuse, before anything is written, a model that a comparison cannot train or score."""
    for compared in losses:
        compared.loss.check_model(model)
    datamodule.prepare_data()
    datamodule.setup("validate")
    if isinstance(model, RanksCatalogue):
        return
    with torch.no_grad():
        predicted = model.eval().predict_step(next(iter(datamodule.val_dataloader())))
    if predicted.shape[1:] != ((tasks,) if tasks else ()):
        raise ValueError(
            f"{type(model).__name__} predicts {' by '.join(map(str, predicted.shape[1:])) or 'one'} probabilities a "
            f"row, and a comparison takes one for each of the model's tasks ({tasks or 'it names none, so one'}): let "
            "predict_step return [rows], or [rows, tasks] and name them in the attribute tasks"
        )


def _locked(root: Path) -> AbstractContextManager[None]:
    # Only the first process writes; the others train with it.
    return folder_lock(root, "comparison", "name another folder with --root") if is_first() else nullcontext()


def _open(
    root: Path, criterion: Criterion, datamodule: pl.LightningDataModule, save_config: Callable[[Path], None]
) -> ComparisonRecords:
    """Return the records of the folder, after refusing settings or data that differ from those it was begun with."""
    if is_first():
        for folder in (root, root / "predictions", root / "checkpoints"):
            remove_leftovers(folder)
        save_config(root / "config.yaml")
    records = ComparisonRecords(root, criterion, writes=is_first())
    if is_first():
        continue_with_data(root, datamodule, begun=not records.is_empty)
    return records


def _observers(
    settings: CompareSettings,
    plan: Plan,
    losses: Sequence[ComparedLoss],
    console: Console,
    board: ComparisonTensorBoard,
) -> CompareObservers:
    tuning = [plan.tuning_trainings(each.loss) for each in losses]
    observers: list[CompareObserver] = [CompareProgress(console, tuning=tuning, further=plan.further_trainings)]
    if is_first():
        observers.append(board)
    if settings.save_checkpoints:
        observers.append(CheckpointWriter(Path(settings.root) / "checkpoints"))
    return CompareObservers(observers)


def _training(
    settings: CompareSettings,
    criterion: Criterion,
    build: Callable[[], pl.LightningModule],
    datamodule: pl.LightningDataModule,
    recipe: Mapping[str, Any],
) -> MeasuredTraining:
    return MeasuredTraining(
        build,
        datamodule,
        recipe,
        criterion=criterion,
        monitor=settings.monitored,
        mode=settings.mode,
        patience=settings.patience,
        fused=settings.fused,
    )


def _train(test: EffectivenessTest, losses: Sequence[ComparedLoss], observers: CompareObservers) -> dict[str, Setting]:
    """Tune, train and test every loss; return the settings that were chosen, by title."""
    chosen, baseline = {}, losses[0]
    with observers.watching(), closing(test.run(losses)) as finished:
        for compared, setting in finished:
            if compared is baseline:
                _require_baseline(baseline, test.records)
            chosen[compared.title] = setting
    return chosen


def _require_baseline(baseline: ComparedLoss, records: ComparisonRecords) -> None:
    results = records.results
    rows = results[results["loss"] == baseline.title]
    if not (rows["status"] == TRAINED).any():
        row = rows.iloc[0]
        raise RuntimeError(
            f"the baseline {baseline.label} could not be trained ({row['status']}). "
            f"{row['error'] or 'Its loss or metric is not finite: look at the learning rates and the labels.'}"
        )
