"""The three stages of a polish, seed by seed: train a model, fit critics to sessions, fine-tune with their weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from datamodules import ImpressionsDataModule
from lightning_modules.agents import DDPG, ActorCritic
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.polish.arms import BASE, Arm, arms
from lightning_modules.polish.critics import Fitting
from lightning_modules.polish.outcome import Outcome
from lightning_modules.polish.records import Records
from lightning_modules.polish.report import Report
from lightning_modules.polish.settings import PolishSettings
from lightning_modules.polish.training import Budget, Training
from lightning_modules.search.ranks import is_first
from lightning_modules.threads import torch_threads


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

    def run(self, save_config: Callable[[Path], None]) -> Report:
        """Train what is not trained yet, write and print the outcome.

        Args:
            save_config: Writes the configuration to a path, after checking that it continues what is there.

        Raises:
            FileNotFoundError: If the critics' checkpoint is not there.
            OSError: If the folder cannot be written.
            ValueError: If an option or the data cannot be used.
        """
        console = Console(quiet=not is_first())
        if is_first():
            save_config(self._root / "config.yaml")
        records = Records(self._root, writes=is_first())
        with torch_threads(self.settings.threads):
            for seed in self._seeds:
                self._run_seed(seed, records, console)
            report = Outcome(
                self.settings, records, self.impressions, self._seeds, type(self.build()).__name__
            ).report()
        if is_first():
            report.write(self._root)
        report.print(console, self._root)
        return report

    @property
    def _root(self) -> Path:
        return Path(self.settings.root)

    @property
    def _seeds(self) -> range:
        return range(self.seed, self.seed + self.settings.seeds)

    @cached_property
    def _training(self) -> Training:
        return Training(self.impressions, self.recipe, self.settings.monitor, self.settings.mode)

    def _run_seed(self, seed: int, records: Records, console: Console) -> None:
        base, critics = records.checkpoint(BASE, seed), records.critics(seed, self.settings.critics)
        if not records.has(BASE, seed):
            self._train(Arm(BASE, fine_tuned=False), seed, records, console)
        if not critics.is_file():
            self._say(console, seed, "critics are fitted to the sessions")
            self._fitting(base, seed, critics)
        for arm in arms(self.settings):
            if not records.has(arm.name, seed):
                self._train(arm, seed, records, console)

    def _train(self, arm: Arm, seed: int, records: Records, console: Console) -> None:
        settings, base = self.settings, records.checkpoint(BASE, seed)

        def build() -> MultiTaskModel:
            model = self.build()
            if arm.fine_tuned:
                model.load_state_dict(torch.load(base, weights_only=True)["state_dict"])
            arm.equip(model, records.critics(seed, self.settings.critics))
            return model

        tuning = Budget(settings.fine_tuning_epochs, learning_rate=settings.fine_tuning_learning_rate)
        budget = tuning if arm.fine_tuned else Budget(self.recipe["max_epochs"], settings.patience)
        tested = self._training(build, budget, seed, records.checkpoint(arm.name, seed))
        row = records.add(arm.name, seed, tested)
        aucs = ", ".join(f"{task} {row.get(f'test_auc_{task}', float('nan')):.4f}" for task in self._tasks)
        self._say(console, seed, f"{arm.name}: test AUC {aucs} after epoch {tested.epoch} ({tested.seconds:.0f} s)")

    def _say(self, console: Console, seed: int, what: str) -> None:
        console.print(f"seed {seed}: {what}", markup=False, highlight=False, soft_wrap=True)

    def _fitting(self, actor: Path, seed: int, checkpoint: Path) -> None:
        settings = self.settings
        fitting = Fitting(self._agent, self.impressions, self.recipe, settings.agent_epochs, settings.agent_rows)
        fitting(actor, seed, checkpoint)

    def _agent(self, actor: Path) -> ActorCritic:
        sizes = self.impressions.field_sizes, self.impressions.num_numerical, self._tasks
        if self.settings.agent is None:
            return DDPG(*sizes, str(actor), actor_frozen=True)
        return self.settings.agent(*sizes, str(actor))

    @property
    def _tasks(self) -> tuple[str, ...]:
        return self.impressions.tasks


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
