"""The effectiveness test: every loss tuned on validation, trained with every seed, and tested once."""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.events import CompareObserver
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.training import Measured, MeasuredTraining, measured_run, trained_run
from lightning_modules.losses import LossObject
from lightning_modules.training.executors import SerialExecutor, Shared, TrainingExecutor
from lightning_modules.training.executors.dispatch import Call, Death, Job, run_jobs
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.statuses import FAILED, TRAINED
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
        executor: Where models are trained; the results are the same.
    """

    def __init__(
        self,
        training: MeasuredTraining,
        plan: Plan,
        records: ComparisonRecords,
        observers: CompareObserver | None = None,
        executor: TrainingExecutor | None = None,
    ) -> None:
        self.plan = plan
        self.records = records
        self.observers = CompareObserver() if observers is None else observers
        self._executor = SerialExecutor() if executor is None else executor
        self._training = self._executor.share(training)

    def run(self, losses: Sequence[ComparedLoss]) -> Generator[tuple[ComparedLoss, Setting]]:
        """Tune losses and train each with every seed; yield each with its chosen setting when it is finished."""
        jobs = (_LossTest(self, self._training, compared).job() for compared in losses)
        with closing(run_jobs(self._executor, jobs)) as finished:
            for number, setting in finished:
                yield losses[number], setting


@dataclass
class _LossTest:
    """The test of one loss: the trainings that choose its setting, then those that are tested."""

    test: EffectivenessTest
    training: Shared[MeasuredTraining]
    compared: ComparedLoss
    #: The settings that were asked for, of which the first of equals is the best.
    asked: list[Setting] = field(default_factory=list)
    #: By tuning seed and setting.
    scores: dict[tuple[int, Setting], float] = field(default_factory=dict)
    #: The models of the best setting so far, which need not be trained twice.
    kept: dict[tuple[int, Setting], TrainingRun] = field(default_factory=dict)

    def job(self) -> Job[Setting]:
        """Yield the trainings that may run at once, and return the setting that was chosen."""
        self.test.observers.on_loss(self.compared)
        setting = yield from self._tune()
        yield [*self._tests(setting)]
        return setting

    def _tune(self) -> Job[Setting]:
        steps = self.test.plan.tuning.of_loss(self.compared.loss).steps()
        try:
            settings = next(steps)
            while True:
                self.asked.extend(settings)
                yield [*self._validations(settings)]
                settings = steps.send([self._score(setting) for setting in settings])
        except StopIteration as end:
            best: Setting = end.value
            return best

    def _validations(self, settings: Sequence[Setting]) -> Iterator[Call]:
        """Yield the trainings of settings with the tuning seeds, but for those that are on disk."""
        observers, compared = self.test.observers, self.compared
        for setting, seed in product(settings, self.test.plan.tuning_seeds):
            told = partial(observers.on_setting, compared, setting)
            row = self.test.records.training(compared.title, seed, setting)
            if row is None:
                arguments = self.training, compared.loss, seed, setting
                yield Call(trained_run, arguments, partial(self._add_training, seed, setting), told)
            else:
                told()
                self.scores[seed, setting] = _score_of(row)
                observers.on_trained(compared, known=True)

    def _add_training(self, seed: int, setting: Setting, found: TrainingRun | Death) -> None:
        run = _run_of(found)
        row = self.test.records.add_training(self.compared.title, seed, setting, run)
        self.scores[seed, setting], self.kept[seed, setting] = _score_of(row), run
        self._drop_others()
        self.test.observers.on_trained(self.compared)

    def _drop_others(self) -> None:
        """Drop the models of settings all of whose scores are known, but for those of the best one."""
        complete = [setting for setting in self.asked if self._is_complete(setting)]
        best = max(complete, key=self._score, default=None)
        self.kept = {key: run for key, run in self.kept.items() if key[1] == best or key[1] not in complete}

    def _is_complete(self, setting: Setting) -> bool:
        return all((seed, setting) in self.scores for seed in self.test.plan.tuning_seeds)

    def _score(self, setting: Setting) -> float:
        """Return a setting's mean score over the tuning seeds."""
        seeds = self.test.plan.tuning_seeds
        return sum(self.scores[seed, setting] for seed in seeds) / len(seeds)

    def _tests(self, setting: Setting) -> Iterator[Call]:
        """Yield the tests of a setting with every seed, but for those that are on disk."""
        observers, compared = self.test.observers, self.compared
        for seed in self.test.plan.seeds:
            if self.test.records.result(compared.title, seed, setting) is not None:
                observers.on_seed(compared, seed)
                if seed not in self.test.plan.tuning_seeds:
                    observers.on_trained(compared, known=True)
                continue
            arguments = self.training, compared.loss, seed, setting, self.kept.pop((seed, setting), None)
            told = partial(observers.on_seed, compared, seed)
            yield Call(measured_run, arguments, partial(self._add_result, seed, setting), told)

    def _add_result(self, seed: int, setting: Setting, found: tuple[TrainingRun, Measured | None] | Death) -> None:
        run, measured = (_run_of(found), None) if isinstance(found, Death) else found
        row = self.test.records.add_result(self.compared.title, seed, setting, run, measured)
        self.test.observers.on_result(self.compared, row, run)
        if seed not in self.test.plan.tuning_seeds:
            self.test.observers.on_trained(self.compared)


def _score_of(row: Mapping[str, Any]) -> float:
    return float(row["score"]) if row["status"] == TRAINED else -math.inf


def _run_of(found: TrainingRun | Death) -> TrainingRun:
    return TrainingRun(FAILED, -math.inf, error=found.error) if isinstance(found, Death) else found
