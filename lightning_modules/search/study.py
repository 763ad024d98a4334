"""Puts a search together from its options and runs it."""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from lightning_modules.losses import BCE
from lightning_modules.search.children import ChildTrainers
from lightning_modules.search.drawing import Drawing
from lightning_modules.search.evaluation import ChildEvaluator
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.loss_search import Budget, LossSearch
from lightning_modules.search.progress import ProgressDisplay
from lightning_modules.search.ranks import is_first
from lightning_modules.search.schedule import Alternating, FromScratch, Schedule
from lightning_modules.search.screening import Screening
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies import Strategy
from lightning_modules.search.summary import FormulasFile, print_summary
from lightning_modules.search.tensorboard import TensorBoardReport
from lightning_modules.search.watchers import Watcher
from lightning_modules.threads import torch_threads


def run_search(
    settings: SearchSettings,
    *,
    recommender: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer_recipe: Mapping[str, Any],
    seed: int,
    save_config: Callable[[Path], None],
) -> LossSearch:
    """Search for a loss function and print what was found.

    Args:
        settings: The options.
        recommender: What every child is a copy of.
        datamodule: What children are trained on.
        trainer_recipe: Arguments of every child's Trainer.
        seed: Seed of the strategy, the screening and every child.
        save_config: Writes the configuration to a path.

    Raises:
        FileExistsError: If the study's folder holds another study.
        OSError: If it cannot be written.
        ValueError: If an option or the data cannot be used.
    """
    space = settings.space or SearchSpace()
    strategy = settings.strategy(space, _generator(seed))
    evaluator = ChildEvaluator(
        ChildTrainers(trainer_recipe, Path(settings.root) / "candidates" if settings.log_candidates else None),
        _reward_data(datamodule, settings.holdout, seed),
        monitor=settings.monitor,
        mode=settings.mode,
    )
    # Before the watchers are there: what fails here leaves no ledger and no live display behind.
    with torch_threads(settings.threads):
        schedule = _schedule(settings, recommender, evaluator)
    console = Console()
    # Only the first process writes; the others walk in step with it.
    watchers = _watchers(settings, space, console, save_config) if is_first() else []
    study = LossSearch(
        strategy=strategy,
        drawing=_drawing(settings, strategy, space, seed),
        evaluator=evaluator,
        schedule=schedule,
        numerics=settings.named_numerics,
        baseline=(settings.baseline or BCE()) if settings.relative else None,
        references=settings.named_references,
        budget=Budget(settings.rounds, settings.warmup_updates, settings.most_failures, settings.top),
        seed=seed,
        watchers=watchers,
    )
    with _full_disk_explained(settings.root), torch_threads(settings.threads):
        study.run()
    if watchers:
        print_summary(console, study.candidates, Path(settings.root), settings.top)
    return study


@contextmanager
def _full_disk_explained(root: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            f"the study's folder '{root}' cannot be written: {error.strerror}. What its ledger holds is kept; free "
            "some space, then start a study in a new folder."
        ) from error


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _reward_data(datamodule: pl.LightningDataModule, holdout: float, seed: int) -> pl.LightningDataModule:
    if not holdout:
        return datamodule
    if not hasattr(datamodule, "hold_out"):
        raise ValueError(
            f"{type(datamodule).__name__} has no hold_out(share, seed) to measure rewards on training rows; "
            "--search.holdout 0 measures them on the validation split"
        )
    return datamodule.hold_out(holdout, seed)


def _schedule(settings: SearchSettings, recommender: pl.LightningModule, evaluator: ChildEvaluator) -> Schedule:
    if settings.alternate:
        return Alternating(recommender, evaluator.measure(recommender))
    return FromScratch(recommender)


def _screening(settings: SearchSettings, space: SearchSpace, seed: int) -> Screening:
    return Screening(space, settings.named_numerics, _generator(seed), least_right_share=settings.least_right_share)


def _drawing(settings: SearchSettings, strategy: Strategy, space: SearchSpace, seed: int) -> Drawing:
    return Drawing(
        strategy,
        _screening(settings, space, seed),
        candidates=settings.candidates,
        draws=settings.draws,
        most_draws=settings.most_draws,
    )


def _watchers(
    settings: SearchSettings, space: SearchSpace, console: Console, save_config: Callable[[Path], None]
) -> list[Watcher]:
    root = Path(settings.root)
    # First of all, since it refuses a folder that holds another study.
    ledger = Ledger(root)
    save_config(root / "config.yaml")
    progress = ProgressDisplay(
        console,
        rounds=settings.rounds,
        candidates=settings.candidates,
        warmup_updates=settings.warmup_updates,
        references=len(settings.named_references),
    )
    # The display goes first, since the others may fail to write and the terminal is to be given back all the same.
    return [progress, ledger, FormulasFile(root), TensorBoardReport(root, space, settings.named_numerics)]
