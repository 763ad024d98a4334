"""A live display of a polish in the terminal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from datamodules import ImpressionsDataModule
from lightning_modules.agents import DDPG, ActorCritic
from lightning_modules.core.run_config import continue_with_data
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.polish.arms import BASE, Arm, arms, check_arms
from lightning_modules.polish.critic_fitting import Fitting, refuse_other_sessions
from lightning_modules.polish.records import PolishRecords
from lightning_modules.polish.report import PolishReport
from lightning_modules.polish.results import PolishResults
from lightning_modules.polish.settings import PolishSettings
from lightning_modules.polish.training import PolishTraining, Tested, TrainingSettings
from lightning_modules.training.convergence import builder
from lightning_modules.utilities.files import remove_leftovers
from lightning_modules.utilities.folder_lock import folder_lock
from lightning_modules.utilities.processes import torch_threads
from lightning_modules.utilities.progress import Bars


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
    model, impressions = multi_task(model, datamodule)
    return Polish(settings, builder(model), impressions, trainer_recipe, seed).run(save_config)


class PolishProgress(Bars):
    """Shows the stages done, the time left and what is trained now.

    Args:
        console: Where to write.
        stages: Number of stages over all seeds.
    """

    def __init__(self, console: Console, stages: int) -> None:
        super().__init__(console)
        self._task = self.add_task("stages", total=stages, note="")

    def on_stage(self, seed: int, what: str) -> None:
        """Show what begins."""
        self.update(self._task, note=f"seed {seed}: {what}")

    def on_done(self) -> None:
        """Count a stage that ended, or had ended before a stop."""
        self.update(self._task, advance=1)

    def say(self, seed: int, what: str) -> None:
        """Write a line that stays."""
        self.console.print(f"seed {seed}: {what}", markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Polish:
    """A polish with everything that it needs.

    Args:
        settings: The options.
        build: Returns a freshly initialised model.
        impressions: What models are trained, validated and tested on, and whose sessions critics learn from.
        recipe: Arguments of every Trainer.
        seed: Seed of the first run; the next has one more, and so on. Also that of the bootstrap.
    """

    settings: PolishSettings
    build: Callable[[], MultiTaskModel]
    impressions: ImpressionsDataModule
    recipe: Mapping[str, Any]
    seed: int

    def run(self, save_config: Callable[[Path], None]) -> PolishReport:
        """Train what is not trained yet, write and print the outcome.

        Args:
            save_config: Writes the configuration to a path, after checking that it continues what is there.

        Raises:
            FileNotFoundError: If the critics' checkpoint is not there.
            OSError: If the folder cannot be written.
            RuntimeError: If the base model cannot be trained, or the critics' values are not finite.
            ValueError: If an option or the data cannot be used, or the folder was begun with other data, or
                another process writes there.
        """
        console = Console()
        with torch_threads(self.settings.threads):
            self._check()
            with folder_lock(self._root, "polish", "name another folder with --root"):
                records = self._open(save_config)
                with PolishProgress(console, len(self._seeds) * self._stages) as progress:
                    for seed in self._seeds:
                        self._run_seed(seed, records, progress)
                report = self._outcome(records).report()
                report.write(self._root)
        report.print(console, self._root)
        return report

    def _open(self, save_config: Callable[[Path], None]) -> PolishRecords:
        """Return what was trained, after refusing other settings and data than that was trained with."""
        for folder in (self._root, *self._root.glob("seed_*")):
            remove_leftovers(folder)
        save_config(self._root / "config.yaml")
        records = PolishRecords(self._root)
        continue_with_data(self._root, self.impressions, begun=not records.is_empty)
        return records

    @property
    def _root(self) -> Path:
        return Path(self.settings.root)

    @property
    def _seeds(self) -> range:
        return range(self.seed, self.seed + self.settings.seeds)

    @cached_property
    def _arms(self) -> list[Arm]:
        return arms(self.settings)

    @cached_property
    def _training(self) -> PolishTraining:
        return PolishTraining(self.impressions, self.recipe, self.settings.monitor, self.settings.mode)

    @cached_property
    def _fitting(self) -> Fitting:
        settings = self.settings
        return Fitting(self._agent, self.impressions, self.recipe, settings.agent_epochs, settings.agent_rows)

    def _check(self) -> None:
        """Find what is wrong before the first training, not after hours of it."""
        settings, model = self.settings, self.build()
        check_arms(self._arms, self.build, settings.critics)
        if settings.critics is not None and any(arm.loss is not None for arm in self._arms):
            refuse_other_sessions(settings.critics, self.impressions)
        if self._fits_critics:
            self._fitting.check(model)
        self._training.check(model, settings.fine_tuning_epochs)

    @property
    def _fits_critics(self) -> bool:
        return self.settings.critics is None and any(arm.loss is not None for arm in self._arms)

    @property
    def _stages(self) -> int:
        """Number of stages of a seed: the base model, the critics and the arms."""
        return 1 + self._fits_critics + len(self._arms)

    def _run_seed(self, seed: int, records: PolishRecords, progress: PolishProgress) -> None:
        self._train(Arm(BASE, fine_tuned=False), seed, records, progress)
        if self._fits_critics:
            self._fit_critics(seed, records, progress)
        for arm in self._arms:
            self._train(arm, seed, records, progress)

    def _fit_critics(self, seed: int, records: PolishRecords, progress: PolishProgress) -> None:
        critics = records.checkpoint("critics", seed)
        if not critics.is_file():
            progress.on_stage(seed, "critics")
            progress.say(seed, "critics are fitted to the sessions")
            self._fitting(records.checkpoint(BASE, seed), seed, critics)
        progress.on_done()

    def _train(self, arm: Arm, seed: int, records: PolishRecords, progress: PolishProgress) -> None:
        if not records.has(arm.name, seed):
            progress.on_stage(seed, arm.name)
            progress.say(seed, self._trained(arm, seed, records))
        progress.on_done()

    def _trained(self, arm: Arm, seed: int, records: PolishRecords) -> str:
        """Train and test an arm, note the outcome and say it in words."""
        build = partial(self._model, arm, seed, records)
        tested = self._training(build, self._budget(arm), seed, records.checkpoint(arm.name, seed))
        if arm.name == BASE and not tested.epoch:
            raise RuntimeError(
                f"the base model of seed {seed} cannot be fine-tuned: no epoch had a finite {self.settings.monitor}; "
                "look at its learning rate and at how long the trainer's options let it train"
            )
        row = records.add(arm.name, seed, tested)
        return f"{arm.name}: {self._in_words(tested, row)} ({tested.seconds:.0f} s)"

    def _model(self, arm: Arm, seed: int, records: PolishRecords) -> MultiTaskModel:
        """Return the model that an arm's training starts from."""
        model = self.build()
        if arm.fine_tuned:
            base = torch.load(records.checkpoint(BASE, seed), map_location="cpu", weights_only=True)
            model.load_state_dict(base["state_dict"])
        arm.equip(model, records.critics(seed, self.settings.critics))
        return model

    def _budget(self, arm: Arm) -> TrainingSettings:
        settings = self.settings
        if arm.fine_tuned:
            return TrainingSettings(settings.fine_tuning_epochs, learning_rate=settings.fine_tuning_learning_rate)
        return TrainingSettings(self.recipe["max_epochs"], settings.patience)

    def _outcome(self, records: PolishRecords) -> PolishResults:
        return PolishResults(
            settings=self.settings,
            arms=self._arms,
            records=records,
            impressions=self.impressions,
            seeds=self._seeds,
            model=type(self.build()).__name__,
            max_epochs=self.recipe["max_epochs"],
        )

    def _in_words(self, tested: Tested, row: Mapping[str, Any]) -> str:
        if not tested.epoch:
            return f"no epoch had a finite {self.settings.monitor}"
        aucs = ", ".join(f"{task} {row[f'test_auc_{task}']:.4f}" for task in self.impressions.tasks)
        return f"test AUC {aucs} after epoch {tested.epoch}"

    def _agent(self, actor: str | MultiTaskModel) -> ActorCritic:
        sizes = self.impressions.field_sizes, self.impressions.num_numerical, self.impressions.tasks
        if self.settings.agent is None:
            return DDPG(*sizes, actor, actor_frozen=True)
        return self.settings.agent(*sizes, actor)


def multi_task(model: Any, datamodule: Any) -> tuple[MultiTaskModel, ImpressionsDataModule]:
    """Return model and data as what a polish takes.

    Raises:
        ValueError: If they are something else.
    """
    if not isinstance(model, MultiTaskModel) or not isinstance(datamodule, ImpressionsDataModule):
        raise ValueError(
            f"polish takes a multi-task model and impressions with sessions, not {type(model).__name__} on "
            f"{type(datamodule).__name__}; for instance --model ESMM --data KuaiRand"
        )
    return model, datamodule
