"""``search``: builds a search from its options and runs it, in a new folder or in that of an unfinished study."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from rich.console import Console

from lightning_modules.losses import Formula, LossObject, Variable, loss_of_formula
from lightning_modules.search.evaluation import Evaluator, TrialEvaluator
from lightning_modules.search.events import SearchObserver, SearchObservers
from lightning_modules.search.finalist_setup import finalist_training, finalist_weight, finalists_of, measurement_of
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.gradient_scale import GradientScale
from lightning_modules.search.history import SearchHistory
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.loss_search import LossSearch
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.reports.closing_screen import print_closing_screen
from lightning_modules.search.reports.loggers import SearchLoggers, named_loggers
from lightning_modules.search.reports.measurement import Measurement
from lightning_modules.search.reports.picture import PictureFile
from lightning_modules.search.reports.progress import ExpectedWork, ProgressDisplay
from lightning_modules.search.reports.summary import FormulasFile
from lightning_modules.search.reports.tensorboard import SearchTensorBoard
from lightning_modules.search.rewards import spread_remark
from lightning_modules.search.sampling import Sampler
from lightning_modules.search.schedule import Alternating, FromScratch, Schedule
from lightning_modules.search.screening import Screening
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.snapshots import check_state
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies import Strategy
from lightning_modules.search.study_folder import StudyFolder
from lightning_modules.search.trials import Trials
from lightning_modules.training.executors import (
    TrainingExecutor,
    opened_executor,
    refuse_several_devices,
)
from lightning_modules.training.trainers import TrainerFactory
from lightning_modules.utilities.files import full_disk_explained
from lightning_modules.utilities.processes import is_first, quick_collections, torch_threads

_WHEN_FULL = "Its ledger is kept; free some space, then give the same command again, which continues the study."


def run_search(
    settings: SearchSettings,
    *,
    recommender: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer_recipe: Mapping[str, Any],
    seed: int,
    save_config: Callable[[Path], None],
    observers: Sequence[SearchObserver] = (),
    loggers: Sequence[Logger] = (),
) -> LossSearch:
    """Search for a loss function and print the best formulas; an unfinished study in the folder is continued.

    Args:
        settings: The options.
        recommender: Every trial trains a copy of it.
        datamodule: The data of the trials.
        trainer_recipe: Arguments of every trial's Trainer.
        seed: Seed of the strategy, the screening and every trial.
        save_config: Writes the configuration to a path.
        observers: Further observers, which come after the project's own.
        loggers: Loggers that get the curves of the search too, beside those that the trainer's options name.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If an option or the data cannot be used, the folder holds a study of other settings, or another
            process writes there.
    """
    refuse_several_devices(settings.executor, trainer_recipe, "--search.executor")
    settings = settings.of_model(recommender).of_data(datamodule)
    further = [*observers, SearchLoggers([*loggers, *named_loggers(trainer_recipe)], settings.named_space)]
    # A trial logs nothing, and is sent to workers.
    trainer_recipe = {**trainer_recipe, "logger": False}
    # Only the first process writes; the others run the same search beside it.
    folder = StudyFolder(Path(settings.root), writes=is_first(), check_state=partial(_check_state, settings, seed))
    trainers = TrainerFactory(trainer_recipe, folder.root / "candidates" if settings.log_candidates else None)
    data = _reward_data(datamodule, settings.holdout, seed)
    evaluator = _evaluator(settings, trainers, data)
    _check_model(settings, recommender, evaluator)
    finalists = finalist_training(settings, recommender, datamodule, data, trainer_recipe, seed)
    console = Console()
    with _writing(folder, settings):
        folder.open(save_config, datamodule)
        # Before the observers are there, so that an error here leaves no live display behind.
        schedule = _schedule(settings, recommender, _single(settings, trainers, data))
        with opened_executor(settings) as executor:
            trials = _trials(settings, folder, executor, evaluator, schedule, seed)
            search = _search(settings, trials, seed)
            search.clock = folder.clock
            if finalists is not None:
                search.finalists = finalists_of(settings, folder, executor, finalists)
            folder.announce(console)
            work = _expected_work(settings, folder, trainer_recipe)
            _watch(search, settings, folder, lambda: ProgressDisplay(console, work), further)
            search.run(folder.state)
    if folder.writes:
        _print_results(console, search, settings, folder, measurement_of(settings, trainer_recipe))
    return search


def _check_model(settings: SearchSettings, recommender: pl.LightningModule, evaluator: Evaluator) -> None:
    evaluator.check(recommender)
    for loss in (*settings.named_references.values(), settings.named_baseline, _simplest(settings.named_space)):
        if loss is not None:
            loss.check_model(recommender)


def _simplest(space: SearchSpace) -> LossObject:
    """Return the loss of a space's simplest formula, which fits a model if others do."""
    leaf = next(each for each in space.leaves if isinstance(each, Variable) and each.name in space.dialect.predicted)
    return loss_of_formula(Formula((leaf,)))


@contextmanager
def _writing(folder: StudyFolder, settings: SearchSettings) -> Iterator[None]:
    """Lock the folder, and say what to do if the disk is full; outside of trainings, compute with one thread."""
    disk = full_disk_explained(f"the study's folder '{settings.root}'", _WHEN_FULL)
    with disk, folder.locked(), torch_threads(min(settings.threads, 1)), quick_collections():
        yield


def _trials(
    settings: SearchSettings,
    folder: StudyFolder,
    executor: TrainingExecutor,
    evaluator: Evaluator,
    schedule: Schedule,
    seed: int,
) -> Trials:
    return Trials(
        executor,
        evaluator,
        schedule,
        halving=settings.halving,
        baseline=settings.named_baseline,
        seed=seed,
        known=folder.known,
        record=folder.record,
        best=folder.best_candidate() if schedule.keeps_weights else None,
        tuning=settings.tuning,
        metric=settings.monitor,
    )


def _watch(
    search: LossSearch,
    settings: SearchSettings,
    folder: StudyFolder,
    display: Callable[[], ProgressDisplay],
    further: Sequence[SearchObserver],
) -> None:
    """Let the process that writes keep snapshots and have observers."""
    if folder.ledger is not None:
        search.snapshots = folder.snapshots
        search.observers = SearchObservers([display(), *_observers(settings, folder.ledger), *further])


def _print_results(
    console: Console, search: LossSearch, settings: SearchSettings, folder: StudyFolder, measurement: Measurement
) -> None:
    spread = spread_remark(search.candidates) if settings.relative else None
    ended = search.ending if search.rounds < settings.rounds else None
    remarks = [*search.trials.baseline.remarks, *filter(None, (spread, ended))]
    print_closing_screen(
        console,
        search.candidates,
        folder.root,
        settings.top,
        measurement,
        validation=search.validation,
        remarks=remarks,
    )


def _check_state(settings: SearchSettings, seed: int, state: Any) -> None:
    strategy, screening = _strategy_and_screening(settings, seed)
    check_state(
        state, {"findings": SearchHistory(settings.most_failures), "strategy": strategy, "screening": screening}
    )


def _strategy_and_screening(settings: SearchSettings, seed: int) -> tuple[Strategy, Screening]:
    space = settings.named_space
    screening = Screening(
        space,
        settings.named_numerics,
        _generator(seed),
        least_right_share=settings.least_right_share,
        largest_gradient=settings.largest_gradient,
        most_operators=settings.most_operators,
        by_direction=settings.normalize_scale,
        temperature=settings.named_temperature,
    )
    return settings.strategy(space, _generator(seed)), screening


def _search(settings: SearchSettings, trials: Trials, seed: int) -> LossSearch:
    strategy, screening = _strategy_and_screening(settings, seed)
    sampler = Sampler(
        strategy,
        screening,
        candidates=settings.candidates,
        batch_size=settings.draws,
        limit=settings.most_draws,
        seeds=settings.named_seeds,
    )
    scale = GradientScale(settings.compared_baseline) if settings.normalize_scale else None
    references = settings.named_references
    if scale is not None:
        references = {name: scale.scaled_reference(loss) for name, loss in references.items()}
    return LossSearch(
        strategy=strategy,
        sampler=sampler,
        trials=trials,
        numerics=settings.named_numerics,
        references=references,
        node_price=settings.node_price,
        scale=scale,
        limits=settings.limits,
        temperature=settings.named_temperature,
    )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _reward_data(datamodule: pl.LightningDataModule, holdout: float, seed: int) -> pl.LightningDataModule:
    if not holdout:
        return datamodule
    held_out: pl.LightningDataModule = datamodule.hold_out(holdout, seed)  # type: ignore[attr-defined]
    return held_out


def _schedule(settings: SearchSettings, recommender: pl.LightningModule, evaluator: TrialEvaluator) -> Schedule:
    if settings.alternate:
        return Alternating(recommender, evaluator.measure(recommender))
    return FromScratch(recommender)


def _single(settings: SearchSettings, trainers: TrainerFactory, data: pl.LightningDataModule) -> TrialEvaluator:
    return TrialEvaluator(trainers, data, monitor=settings.monitor, mode=settings.mode, timeout=settings.child_timeout)


def _evaluator(settings: SearchSettings, trainers: TrainerFactory, data: pl.LightningDataModule) -> Evaluator:
    # Stacked tables have one learning rate for all.
    alone = settings.population == 1 or settings.tuning is not None
    otherwise = _single(settings, trainers, data) if alone else _group(PopulationEvaluator, settings, trainers, data)
    return (
        _group(partial(FusedEvaluator, otherwise=otherwise), settings, trainers, data) if settings.fused else otherwise
    )


def _group(
    kind: Callable[..., Evaluator], settings: SearchSettings, trainers: TrainerFactory, data: pl.LightningDataModule
) -> Evaluator:
    return kind(
        trainers,
        data,
        monitor=settings.monitor,
        mode=settings.mode,
        size=settings.population,
        timeout=settings.child_timeout,
    )


def _observers(settings: SearchSettings, ledger: Ledger) -> list[SearchObserver]:
    root = Path(settings.root)
    report = SearchTensorBoard(root, settings.named_space, settings.named_numerics, settings.named_temperature)
    return [ledger, FormulasFile(root), PictureFile(root), report]


def _expected_work(settings: SearchSettings, folder: StudyFolder, recipe: Mapping[str, Any]) -> ExpectedWork:
    budget, every = settings.limits.time_budget, settings.validate_every
    return ExpectedWork(
        rounds=settings.rounds,
        candidates=settings.candidates,
        warmup_updates=settings.warmup_updates,
        references=len(settings.named_references),
        settings=0 if settings.tuning is None else settings.tuning.of_baseline.at_least,
        finalists=settings.finalists,
        validations=1 + ((settings.rounds - 1) // every if every else 0),
        finalist_weight=finalist_weight(settings, recipe),
        known_finalists=frozenset(folder.finalists),
        seconds=None if budget is None else lambda: budget - folder.clock.seconds,
    )
