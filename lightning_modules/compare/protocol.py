"""The effectiveness test: every loss tuned on validation, trained with every seed, and tested once."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.events import CompareObserver
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.training import MeasuredTraining
from lightning_modules.losses import LossObject
from lightning_modules.training.full_training import TRAINED, TrainingRun
from lightning_modules.training.tuning import Axis, Setting, Tuning


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
        options: Mapping[str, Sequence[float]] | None = None,
        trials: int | None = None,
    ) -> "Plan":
        """Return the plan over the grid of learning rates, weight decays and options of losses, by their names."""
        axes = {name: Axis.of(values) for name, values in (options or {}).items()}
        tuning = Tuning(Axis.of(learning_rates), Axis.of(weight_decays), extensions, refinements, axes, trials)
        return cls(tuning, tuple(seeds), tuple(seeds[:tuning_seeds]))

    def tuning_trainings(self, loss: LossObject) -> int:
        """Return the number of trainings that tune a loss, without those that an extended grid adds."""
        return self.tuning.of_loss(loss).at_least * len(self.tuning_seeds)

    @property
    def further_trainings(self) -> int:
        """The number of trainings of a loss with the setting that was chosen, beside those that chose it."""
        return len(self.seeds) - len(self.tuning_seeds)

    def shortfalls(self, losses: Sequence[ComparedLoss]) -> Iterator[str]:
        """Yield what to say of losses that cannot be tried with as many settings as are asked for."""
        for compared in losses:
            tuning = self.tuning.of_loss(compared.loss)
            if tuning.trials is not None and tuning.at_least < tuning.trials:
                yield (
                    f"--compare.trials is {tuning.trials}, but {compared.label} is tried with {tuning.at_least}: "
                    "refinements lie between the values of --compare.learning_rates, --compare.weight_decays or "
                    "--compare.grid, and none of those that it has leaves room for more. Give one of them two values"
                )


class EffectivenessTest:
    """Phase three of loss search (AutoLossGen, Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).

    Beyond the paper, each loss has its own learning rate and weight decay, so that none is worse only because its steps
    are badly scaled.

    Args:
        training: Trains and measures models.
        plan: What is trained.
        records: Where everything is written, and what is done already.
        observers: The observers of the comparison.
    """

    def __init__(
        self,
        training: MeasuredTraining,
        plan: Plan,
        records: ComparisonRecords,
        observers: CompareObserver | None = None,
    ) -> None:
        self.training = training
        self.plan = plan
        self.records = records
        self.observers = CompareObserver() if observers is None else observers
        self._kept: dict[tuple[int, Setting], TrainingRun] = {}

    def run(self, compared: ComparedLoss) -> Setting:
        """Tune a loss and train it with every seed; return the setting that was chosen."""
        self._kept = {}
        self.observers.on_loss(compared)
        setting = self._tune(compared)
        for seed in self.plan.seeds:
            self.observers.on_seed(compared, seed)
            known = self.records.result(compared.title, seed, setting) is not None
            if not known:
                self._test(compared, seed, setting)
            if seed not in self.plan.tuning_seeds:
                self.observers.on_trained(known=known)
        return setting

    def _tune(self, compared: ComparedLoss) -> Setting:
        best: float | None = None

        def score(setting: Setting) -> float:
            nonlocal best
            value, runs = self._validate(compared, setting)
            if best is None or value > best:
                # Kept until a better setting comes, so that the chosen one need not be trained twice.
                best, self._kept = value, {(seed, setting): run for seed, run in runs.items()}
            return value

        return self.plan.tuning.of_loss(compared.loss).best(lambda settings: [score(setting) for setting in settings])

    def _validate(self, compared: ComparedLoss, setting: Setting) -> tuple[float, dict[int, TrainingRun]]:
        """Return a setting's mean score over the tuning seeds, and the runs that were not on disk."""
        scores, runs = [], {}
        for seed in self.plan.tuning_seeds:
            self.observers.on_setting(compared, setting)
            row = self.records.training(compared.title, seed, setting)
            known = row is not None
            if row is None:
                runs[seed] = self.training.train(compared.loss, seed, setting)
                row = self.records.add_training(compared.title, seed, setting, runs[seed])
            scores.append(row["score"] if row["status"] == TRAINED else -math.inf)
            self.observers.on_trained(known=known)
        return sum(scores) / len(scores), runs

    def _test(self, compared: ComparedLoss, seed: int, setting: Setting) -> None:
        run = self._kept.pop((seed, setting), None) or self.training.train(compared.loss, seed, setting)
        measured = self.training.measure(run) if run.model is not None else None
        row = self.records.add_result(compared.title, seed, setting, run, measured)
        self.observers.on_result(compared, row, run)
