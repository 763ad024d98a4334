"""The stages of a polish: for every seed the base model, the critics and the arms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch

from datamodules import ImpressionsDataModule
from lightning_modules.agents import DDPG, ActorCritic
from lightning_modules.agents.stored_critics import AgentValues
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.polish.arms import BASE, Arm, arms, check_arms
from lightning_modules.polish.critic_fitting import CriticFitting
from lightning_modules.polish.progress import PolishProgress
from lightning_modules.polish.records import PolishRecords, metric_column
from lightning_modules.polish.settings import PolishSettings
from lightning_modules.polish.training import PolishTraining, Tested
from lightning_modules.training.convergence import TrainingSettings

#: Name of the stage that fits critics, and of its checkpoint.
CRITICS = "critics"


@dataclass(frozen=True)
class PolishStages:
    """Trains the models and critics of every seed, except those that an earlier run has finished.

    Args:
        settings: The options.
        build: Returns a freshly initialised model.
        impressions: What models are trained, validated and tested on, and whose sessions critics learn from.
        recipe: Arguments of every Trainer.
    """

    settings: PolishSettings
    build: Callable[[], MultiTaskModel]
    impressions: ImpressionsDataModule
    recipe: Mapping[str, Any]

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms, the control first."""
        return arms(self.settings)

    @property
    def weights(self) -> dict[str, float]:
        """The stages of a seed by their names, and how long each takes beside the others, as far as it is known."""
        epochs = self.recipe.get("max_epochs") or 0
        fine_tuning = min(1.0, self.settings.fine_tuning_epochs / epochs) if epochs > 0 else 1.0
        critics = {CRITICS: 1.0} if self._fits_critics else {}
        return {BASE: 1.0, **critics, **{arm.name: fine_tuning if arm.fine_tuned else 1.0 for arm in self.arms}}

    def check(self) -> None:
        """Refuse, before the first training, whatever would fail in a later one.

        Raises:
            FileNotFoundError: If the critics' checkpoint is not there.
            ValueError: If an option, the model or the data cannot be used.
        """
        settings, model = self.settings, self.build()
        check_arms(self.arms, self.build, settings.critics)
        if settings.critics is not None and self._uses_critics:
            AgentValues(settings.critics).refuse_other_data(self.impressions)
        if self._fits_critics:
            self._critic_fitting.check(model)
        self._training.check(model, settings.fine_tuning_epochs)

    def run(self, seed: int, records: PolishRecords, progress: PolishProgress) -> None:
        """Run all stages of a seed.

        Raises:
            RuntimeError: If the base model cannot be trained, or the critics' values are not finite.
        """
        self._train(Arm(BASE, fine_tuned=False), seed, records, progress)
        if self._fits_critics:
            self._fit_critics(seed, records, progress)
        for arm in self.arms:
            self._train(arm, seed, records, progress)

    @property
    def _uses_critics(self) -> bool:
        return any(arm.loss is not None for arm in self.arms)

    @property
    def _fits_critics(self) -> bool:
        return self.settings.critics is None and self._uses_critics

    @cached_property
    def _training(self) -> PolishTraining:
        return PolishTraining(self.impressions, self.recipe, self.settings.monitor, self.settings.mode)

    @cached_property
    def _critic_fitting(self) -> CriticFitting:
        settings = self.settings
        return CriticFitting(self._agent, self.impressions, self.recipe, settings.agent_epochs, settings.agent_rows)

    def _agent(self, actor: str | MultiTaskModel) -> ActorCritic:
        sizes = self.impressions.field_sizes, self.impressions.num_numerical, self.impressions.tasks
        if self.settings.agent is None:
            # Critics of random actions overestimate what is lost where the model is sure and right.
            return DDPG(*sizes, actor, actor_frozen=True, behaviour="actor")
        return self.settings.agent(*sizes, actor)

    def _fit_critics(self, seed: int, records: PolishRecords, progress: PolishProgress) -> None:
        critics = records.checkpoint(CRITICS, seed)
        if not critics.is_file():
            progress.on_stage(seed, CRITICS)
            progress.say(seed, "critics are fitted to the sessions")
            self._critic_fitting.fit(records.checkpoint(BASE, seed), seed, critics)
        progress.on_stage_end(CRITICS)

    def _train(self, arm: Arm, seed: int, records: PolishRecords, progress: PolishProgress) -> None:
        """Train and test an arm, record and print the outcome."""
        if not records.has(arm.name, seed):
            progress.on_stage(seed, arm.name)
            build = partial(self._model, arm, seed, records)
            checkpoint = records.checkpoint(arm.name, seed)
            tested = self._training.train(build, self._training_settings(arm), seed, checkpoint)
            if arm.name == BASE and not tested.epoch:
                raise RuntimeError(
                    f"the base model of seed {seed} cannot be fine-tuned: no epoch had a finite "
                    f"{self.settings.monitor}; look at its learning rate and at how long the trainer's options let it "
                    "train"
                )
            row = records.add(arm.name, seed, tested)
            progress.say(seed, f"{arm.name}: {self._in_words(tested, row)} ({tested.seconds:.0f} s)")
        progress.on_stage_end(arm.name)

    def _model(self, arm: Arm, seed: int, records: PolishRecords) -> MultiTaskModel:
        """Return the model that an arm starts from."""
        model = self.build()
        if arm.fine_tuned:
            base = torch.load(records.checkpoint(BASE, seed), map_location="cpu", weights_only=True)
            model.load_state_dict(base["state_dict"])
        arm.equip(model, records.critics(seed, self.settings.critics))
        return model

    def _training_settings(self, arm: Arm) -> TrainingSettings:
        settings = self.settings
        if arm.fine_tuned:
            return TrainingSettings(settings.fine_tuning_epochs, learning_rate=settings.fine_tuning_learning_rate)
        return TrainingSettings(patience=settings.patience)

    def _in_words(self, tested: Tested, row: Mapping[str, Any]) -> str:
        if not tested.epoch:
            return f"no epoch had a finite {self.settings.monitor}"
        found = {task: row[metric_column(f"test/auc/{task}")] for task in self.impressions.tasks}
        aucs = ", ".join(f"{task} {auc:.4f}" for task, auc in found.items())
        return f"test AUC {aucs} after epoch {tested.epoch}"
