"""The effectiveness test: every loss tuned on validation, trained with every seed, and tested once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.events import CompareWatcher
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.tuning import Axis, Tuning
from lightning_modules.training.convergence import TRAINED, FullTraining, Setting, TrainingRun


@dataclass(frozen=True)
class Plan:
    """What is trained of each loss.

    Attributes:
        tuning: Finds the loss's setting.
        seeds: Seeds of the trainings that are tested.
        tuning_seeds: The first of them, whose mean validation metric is what tuning looks at.
    """

    tuning: Tuning
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]

    @classmethod
    def of(
        cls,
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        seeds: Sequence[int],
        tuning_seeds: int,
        *,
        extensions: int = 0,
        refinements: int = 0,
    ) -> "Plan":
        """Return the plan over the grid of learning rates and weight decays."""
        tuning = Tuning(Axis.of(learning_rates), Axis.of(weight_decays), extensions, refinements)
        return cls(tuning, tuple(seeds), tuple(seeds[:tuning_seeds]))

    @property
    def trainings(self) -> int:
        """The number of trainings a loss, without those that an extended grid adds."""
        return self.tuning.at_least * len(self.tuning_seeds) + len(self.seeds) - len(self.tuning_seeds)


class EffectivenessTest:
    """Phase three of loss search (AutoLossGen, Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).

    Beyond the paper, each loss has its own learning rate and weight decay, so that none loses by a badly scaled step.

    Args:
        training: Trains and measures models.
        plan: What is trained.
        records: Where everything is written, and what is done already.
        watchers: Who is told.
    """

    def __init__(
        self,
        training: FullTraining,
        plan: Plan,
        records: ComparisonRecords,
        watchers: Sequence[CompareWatcher] = (),
    ) -> None:
        self.training = training
        self.plan = plan
        self.records = records
        self.watchers = watchers
        self._chosen: dict[tuple[int, Setting], TrainingRun] = {}

    def __call__(self, entrant: Entrant) -> Setting:
        """Tune a loss and train it with every seed; return the setting that was chosen."""
        self._chosen = {}
        self._tell("on_loss", entrant)
        setting = self._tune(entrant)
        for seed in self.plan.seeds:
            self._tell("on_seed", entrant, seed)
            if self.records.result(entrant.title, seed, setting) is None:
                self._test(entrant, seed, setting)
            if seed not in self.plan.tuning_seeds:
                self._tell("on_trained")
        return setting

    def _tune(self, entrant: Entrant) -> Setting:
        best: float | None = None

        def score(setting: Setting) -> float:
            nonlocal best
            value, trained = self._validate(entrant, setting)
            if best is None or value > best:
                # Kept until a better setting comes, so that the chosen one need not be trained twice.
                best, self._chosen = value, {(seed, setting): run for seed, run in trained.items()}
            return value

        return self.plan.tuning.best(score)

    def _validate(self, entrant: Entrant, setting: Setting) -> tuple[float, dict[int, TrainingRun]]:
        scores, trained = [], {}
        for seed in self.plan.tuning_seeds:
            self._tell("on_setting", entrant, setting)
            row = self.records.training(entrant.title, seed, setting)
            if row is None:
                trained[seed] = self.training(entrant.loss, seed, setting)
                row = self.records.add_training(entrant.title, seed, setting, trained[seed])
            scores.append(_score(row))
            self._tell("on_trained")
        return sum(scores) / len(scores), trained

    def _test(self, entrant: Entrant, seed: int, setting: Setting) -> None:
        training = self._chosen.pop((seed, setting), None) or self.training(entrant.loss, seed, setting)
        measured = self.training.measure(training) if training.model is not None else None
        row = self.records.add_result(entrant.title, seed, setting, training, measured)
        self._tell("on_result", entrant, row, training)

    def _tell(self, event: str, *what: Any) -> None:
        for watcher in self.watchers:
            getattr(watcher, event)(*what)


def _score(row: Mapping[str, Any]) -> float:
    return row["score"] if row["status"] == TRAINED else -math.inf
