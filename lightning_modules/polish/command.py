"""Runs a polish: fine-tunes models with critic weights beside their controls, writes and prints the report."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from rich.console import Console

from datamodules import ImpressionsDataModule
from lightning_modules.core.run_config import continue_with_data
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.polish.progress import PolishProgress
from lightning_modules.polish.records import PolishRecords
from lightning_modules.polish.report import PolishReport
from lightning_modules.polish.results import PolishResults
from lightning_modules.polish.settings import PolishSettings
from lightning_modules.polish.stages import PolishStages
from lightning_modules.polish.tensorboard import lay_out, write_results
from lightning_modules.training.convergence import builder
from lightning_modules.utilities.files import remove_leftovers
from lightning_modules.utilities.folder_lock import folder_lock
from lightning_modules.utilities.processes import quick_collections, torch_threads
from lightning_modules.utilities.row_table import tell


def run_polish(
    settings: PolishSettings,
    *,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer_recipe: Mapping[str, Any],
    seed: int,
    save_config: Callable[[Path], None],
) -> PolishReport:
    """Fine-tune a multi-task model with critic weights, and compare it with controls; write and print the report.

    Args:
        settings: The options.
        model: A multi-task model with its hyper-parameters saved; every base model is a new one like it.
        datamodule: Impressions that models are trained, validated and tested on, and whose sessions critics learn from.
        trainer_recipe: Arguments of every Trainer.
        seed: Seed of the first run; the next has one more, and so on. Also that of the bootstrap.
        save_config: Writes the configuration to a path, after checking that it continues what is there.

    Raises:
        FileNotFoundError: If the critics' checkpoint is not there.
        OSError: If the folder cannot be written.
        RuntimeError: If the base model cannot be trained, or the critics' values are not finite.
        ValueError: If the model is no multi-task model, the data are no impressions, an option or the data cannot be
            used, the folder was begun with other data, or another process writes there.
    """
    base, impressions = _multi_task(model, datamodule)
    console, root = Console(), Path(settings.root)
    seeds = range(seed, seed + settings.seeds)
    stages = PolishStages(settings, builder(base), impressions, trainer_recipe)
    with torch_threads(settings.threads), quick_collections():
        stages.check()
        with folder_lock(root, "polish", "name another folder with --root"):
            records = _open(root, impressions, save_config)
            if not records.is_empty:
                tell(console, f"Continuing the polish in {root}: {records.words}.")
            lay_out(root, seeds, impressions.tasks, stages.arms)
            with PolishProgress(console, stages.weights, len(seeds)) as progress:
                for each in seeds:
                    stages.run(each, records, progress)
            report = PolishResults(
                settings=settings,
                arms=stages.arms,
                records=records,
                impressions=impressions,
                seeds=seeds,
                model=type(model).__name__,
                max_epochs=trainer_recipe["max_epochs"],
                validate_every=trainer_recipe.get("check_val_every_n_epoch") or 1,
                limits=_limits(trainer_recipe),
            ).report()
            report.write(root)
            write_results(root, report)
    report.print(console, root)
    return report


def _multi_task(
    model: pl.LightningModule, datamodule: pl.LightningDataModule
) -> tuple[MultiTaskModel, ImpressionsDataModule]:
    """Return model and data as what a polish takes, or refuse them."""
    if not isinstance(model, MultiTaskModel) or not isinstance(datamodule, ImpressionsDataModule):
        raise ValueError(
            f"polish takes a multi-task model and impressions with sessions, not {type(model).__name__} on "
            f"{type(datamodule).__name__}; for instance --model ESMM --data KuaiRand"
        )
    return model, datamodule


def _limits(recipe: Mapping[str, Any]) -> list[str]:
    """Return the options of the Trainer that limit a training."""
    given = [name for name in ("max_epochs", "max_steps", "max_time") if recipe.get(name) not in (None, -1)]
    return given or ["max_epochs"]


def _open(root: Path, impressions: ImpressionsDataModule, save_config: Callable[[Path], None]) -> PolishRecords:
    """Return the records of the folder, after refusing settings or data that differ from those it was begun with."""
    for folder in (root, *root.glob("seed_*")):
        remove_leftovers(folder)
    save_config(root / "config.yaml")
    records = PolishRecords(root)
    continue_with_data(root, impressions, begun=not records.is_empty)
    return records
