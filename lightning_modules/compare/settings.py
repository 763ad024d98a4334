"""The options of a comparison."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import pytorch_lightning as pl

from lightning_modules.losses import LossObject, Numerics
from lightning_modules.training.tuning import EXTENSIONS, LEARNING_RATES, REFINEMENTS, WEIGHT_DECAYS

#: What is monitored where the model does not say.
_METRIC = "val/auc"
_OPTION = "loss."
_AT_LEAST_ONE = ("top", "seeds", "tuning_seeds", "patience", "resamples")


@dataclass(frozen=True)
class CompareSettings:
    """Options of a comparison.

    Args:
        root: Folder of the comparison: results.csv, summary.md, intervals.png and TensorBoard run. Named again, it is
            continued: what is trained is not trained again.
        formulas: Formulas to compare, or RUN#RANK for the formula of that rank in a study, or RUN#front:4 for its best
            one with at most four operators, or RUN#answer.
        losses: Hand-made losses to compare; by default all that suit the model.
        file: A file of formulas, such as formulas.csv or check.csv of a study.
        study: Folder of a search; its answer, if it has one, and its best formulas that pass the validation check are
            compared and audited. Of several searches, with seeds of their own, the audit counts the spread between
            them. RUN#RANK and the like take that formula alone.
        trust_study: Take over model and data of a study although they are classes of your own, and its metric: naming
            a class in its config.yaml imports and runs code, so trust only files that you wrote.
        random_study: Folder of a RandomSearch study to audit the search against, or several.
        top: Formulas to take of each study.
        baseline: The loss that all others are compared with; by default the usual one.
        numerics: Protection of the formulas given as text or file; by default that of the study, or else protected.
        seeds: Trainings of each loss; the first has the seed seed_everything, the next one more, and so on.
        learning_rates: Grid of learning rates to choose from for each loss, on validation.
        weight_decays: Grid of weight decays to choose from for each loss, on validation.
        grid: Values of options of the losses that are axes of the grid too, such as {loss.temperature: [0.05, 0.1]}; a
            loss without the option does without the axis.
        trials: Settings to try for every loss, the same number for all: refinements go on until it is reached. None
            tries as many as the refinements take.
        extensions: How often the grid goes on beyond an end, while the best setting lies there.
        refinements: How often the neighbours of the best setting at half the distance are tried.
        tuning_seeds: Seeds whose mean validation metric makes that choice.
        monitor: The validation metric that decides when to stop, which epoch is best and what is chosen; by default the
            model's own, such as val/auc.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a training ends.
        fused: Train with compiled kernels where they match the model, its optimizer and the trainer section; where they
            do not, in Lightning's steps.
        resample: What the bootstrap draws: users with all their rows, or rows.
        resamples: Number of bootstrap resamples.
        confidence: Confidence of the intervals.
        save_checkpoints: Keep the trained models in checkpoints/.
        executor: Where models are trained: serial (in this process), process (workers on this machine) or ray (a
            cluster). The results are the same.
        workers: Number of workers; 0 is one for every CPU core (process) or as many as the cluster has room for (ray).
        ray_address: Address of a running Ray cluster, or auto; by default Ray is started on this machine.
        gpus_per_child: GPUs of a Ray cluster for each training, also a fraction of one.
        threads: CPU threads of a training; 0 leaves torch's own number.
    """

    root: str = "runs/compare"
    formulas: list[str] = field(default_factory=list)
    losses: list[LossObject] | None = None
    file: str | None = None
    study: list[str] | str | None = None
    trust_study: bool = False
    random_study: list[str] | str | None = None
    top: int = 5
    baseline: LossObject | None = None
    numerics: Numerics | str | None = None
    seeds: int = 5
    learning_rates: list[float] = field(default_factory=lambda: [*LEARNING_RATES])
    weight_decays: list[float] = field(default_factory=lambda: [*WEIGHT_DECAYS])
    grid: dict[str, list[float]] = field(default_factory=dict)
    trials: int | None = None
    extensions: int = EXTENSIONS
    refinements: int = REFINEMENTS
    tuning_seeds: int = 1
    monitor: str | None = None
    mode: Literal["max", "min"] = "max"
    patience: int = 20
    fused: bool = True
    resample: Literal["users", "rows"] = "users"
    resamples: int = 10_000
    confidence: float = 0.95
    save_checkpoints: bool = False
    executor: Literal["serial", "process", "ray"] = "serial"
    workers: int = 0
    ray_address: str | None = None
    gpus_per_child: float = 0.0
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            ValueError: If a number is out of its range.
        """
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"--compare.{name} is {getattr(self, name)}, but a comparison needs at least 1")
        for name in ("extensions", "refinements", "workers", "gpus_per_child", "threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"--compare.{name} is {getattr(self, name)}, but cannot be negative")
        if self.tuning_seeds > self.seeds:
            raise ValueError(f"--compare.tuning_seeds is {self.tuning_seeds}, but there are {self.seeds} seeds")
        if not self.learning_rates or not all(rate > 0 for rate in self.learning_rates):
            raise ValueError(f"--compare.learning_rates are {self.learning_rates}, but need to be positive numbers")
        if not self.weight_decays or not all(decay >= 0 for decay in self.weight_decays):
            raise ValueError(f"--compare.weight_decays are {self.weight_decays}, but need to be numbers from 0 on")
        self._check_grid()
        if not 0 < self.confidence < 1:
            raise ValueError(f"--compare.confidence is {self.confidence}, but a confidence lies in (0, 1)")
        if self.random_studies and not self.studies:
            raise ValueError("--compare.random_study is given, but no --compare.study to hold against it")

    def _check_grid(self) -> None:
        for name, values in self.grid.items():
            if not name.startswith(_OPTION) or not name.removeprefix(_OPTION).isidentifier():
                raise ValueError(
                    f"--compare.grid has the axis '{name}', but its axes are options of losses, such as "
                    "loss.temperature; learning rates and weight decays have options of their own"
                )
            if not values or not all(0 <= value < math.inf for value in values):
                raise ValueError(f"--compare.grid has {name}: {values}, but needs numbers from 0 on")
        if self.trials is not None and self.trials < 1:
            raise ValueError(f"--compare.trials is {self.trials}, but a loss needs at least 1")

    @property
    def studies(self) -> tuple[str, ...]:
        """The searches, as they are named."""
        return _all_of(self.study)

    @property
    def random_studies(self) -> tuple[str, ...]:
        """The random searches, as they are named."""
        return _all_of(self.random_study)

    @property
    def monitored(self) -> str:
        """The validation metric that is monitored."""
        return self.monitor or _METRIC

    def of_model(self, model: pl.LightningModule) -> "CompareSettings":
        """Return the settings with the model's own metric where none is named."""
        return replace(self, monitor=self.monitor or getattr(model, "validation_metric", _METRIC))

    @property
    def loss_options(self) -> dict[str, list[float]]:
        """The axes of the grid that are options of losses, by the option's name."""
        return {name.removeprefix(_OPTION): values for name, values in self.grid.items()}


def _all_of(option: list[str] | str | None) -> tuple[str, ...]:
    return () if option is None else (option,) if isinstance(option, str) else tuple(option)
