"""The options of a search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info

from lightning_modules.losses import (
    BCE,
    BSL,
    CCL,
    MSE,
    PSL,
    DirectAU,
    Focal,
    Formula,
    Hinge,
    LogMin,
    Loss,
    LossObject,
    MaxR,
    Numerics,
    SampledBCE,
    SampledBPR,
    SampledSoftmax,
    SampledWARP,
    SLatK,
    SumR,
    Talos,
)
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.losses.loss_object import above_zero
from lightning_modules.search.limits import SearchLimits
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.seeds import KNOWN, known_programs
from lightning_modules.search.space import Programs, RankingSpace, SearchSpace
from lightning_modules.search.strategies import PPO, Strategy
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.utilities.durations import seconds_of

#: Builds a strategy over a space, with a generator as its only source of randomness.
StrategyFactory = Callable[[SearchSpace, torch.Generator], Strategy]

#: The longest time that a timer can be set to, in seconds.
_LONGEST_TIMEOUT = 1e9
_MONITOR = "val/auc"
_NOT_NEGATIVE = (
    *("node_price", "warmup_updates", "threads", "workers", "child_timeout", "gpus_per_child"),
    *("finalists", "validate_every"),
)


@dataclass(frozen=True)
class SearchSettings:
    """Options of a search.

    Args:
        root: The study's folder: configuration, ledger, formulas.csv and TensorBoard run.
        rounds: Rounds of the search; after each of them the strategy learns.
        time_budget: Time after which no further round begins, such as 10m, 1h30m or a number of seconds, that of
            earlier processes included. A round that has begun is finished, and finalists are trained after it; by
            default there is no limit.
        patience: End the search after so many rounds without a better formula; by default it goes on.
        candidates: Formulas to train per round.
        strategy: The search strategy: PPO, REINFORCE, RegularizedEvolution, ExhaustiveSearch or RandomSearch.
        space: Operators, leaves and nodes of the formulas; by default nine operators and ten nodes over pred, label, 1,
            or RankingSpace for models that rank a catalogue.
        numerics: Numeric protection of the formulas: protected, autolossgen, or eps, low and high.
        temperature: What formulas of scores divide these by, and that of the default baseline; by default 0.1.
        seeds: Formulas to train first, for the strategy to learn from; known stands for the known losses of the space.
        draws: Formulas to sample and screen at a time.
        most_draws: Largest number of formulas that a round samples; it then trains the candidates it has.
        least_right_share: Formulas with a smaller share of right gradient signs are not trained; 0 trains all.
        largest_gradient: Formulas with a larger gradient between predictions of .1 and .9, or one that is not finite
            between 0 and 1, are not trained; by default all are.
        most_operators: Formulas with more operators, counted as they were sampled and at each use, are not trained; by
            default all are.
        node_price: Subtracted from the reward that the strategy is told for every operator, so that it prefers short
            formulas; reports have the reward itself.
        warmup_updates: Updates of the strategy on screening alone, before the first round.
        holdout: Share of the training rows that rewards are measured on; 0 measures them on the validation split.
        monitor: The metric of the rewards; by default val/auc, or the NDCG of models that rank a catalogue.
        mode: Whether more (max) or less (min) of the metric is better.
        relative: Reward the difference to the baseline's metric instead of the metric itself.
        baseline: The loss that rewards are over; by default the usual one.
        references: Hand-made losses to train too; by default all that suit the model.
        alternate: Continue from the weights of a round's best formula, instead of training from scratch each time.
        most_failures: End the search after this many failed candidates in a row.
        top: Number of best formulas to report.
        executor: Where candidates are trained: serial (in this process), process (workers on this machine) or ray (a
            cluster). The study is the same.
        workers: Number of workers; 0 is one for every CPU core (process) or as many as the cluster has room for (ray).
        child_timeout: Seconds after which a candidate's training is ended and counts as failed; 0 sets no limit.
        ray_address: Address of a running Ray cluster, or auto; by default Ray is started on this machine.
        gpus_per_child: GPUs of a Ray cluster for each candidate, also a fraction of one.
        population: Number of candidates to train under one Trainer.
        fused: Train with compiled kernels where they match the model, its optimizer and the trainer section; where they
            do not, candidates train under Trainers of their own, or with stacked tables.
        ladder: Budgets of successive halving, rising numbers of epochs such as 1,3,10: all candidates of a round are
            trained for the first, the best of them anew for the next; by default all are trained as long as the trainer
            says.
        normalize_scale: Multiply every formula by a constant, which becomes part of it, so that its mean gradient is as
            large as the baseline's. Hand-made pointwise losses are multiplied too.
        tuning: Tune learning rate, weight decay and, where temperatures are given, temperature of the baseline, then
            train every loss with a small grid around the best ones and early stopping; the best of the grid is
            rewarded. By default all have the optimizer's own.
        finalists: Best formulas to train to convergence when the search ends, beside the tuned baseline. The one that
            beats it on the validation rows, by more standard errors the more finalists there are, is the answer. 0
            leaves this out.
        finalist_seeds: Trainings of each finalist.
        finalist_epochs: The most epochs of such a training, which ends when the metric no longer improves.
        validate_every: Train the finalists also every so many rounds, and let the strategy learn from the results; 0
            trains them at the end alone.
        log_candidates: Write the curves of every candidate to TensorBoard.
        threads: CPU threads of a training, on which compiled kernels train so many candidates of a population at a
            time; 0 leaves torch's own number. The operations of a training without kernels are too small to gain from
            more threads, which slow them down on busy cores. What is no training has one thread.
    """

    root: str = "runs/search"
    rounds: int = 20
    time_budget: str | float | None = None
    patience: int | None = None
    candidates: int = 20
    strategy: StrategyFactory = PPO
    space: SearchSpace | None = None
    numerics: Numerics | str = "protected"
    temperature: float | None = None
    seeds: list[str] | None = None
    draws: int = 16384
    most_draws: int = 200_000
    least_right_share: float = 0.6
    largest_gradient: float | None = None
    most_operators: int | None = None
    node_price: float = 0.0
    warmup_updates: int = 65
    holdout: float = 0.1
    monitor: str = _MONITOR
    mode: Literal["max", "min"] = "max"
    relative: bool = True
    baseline: LossObject | None = None
    references: list[LossObject] | None = None
    alternate: bool = False
    most_failures: int = 5
    top: int = 10
    executor: Literal["serial", "process", "ray"] = "serial"
    workers: int = 0
    child_timeout: float = 0.0
    ray_address: str | None = None
    gpus_per_child: float = 0.0
    population: int = 1
    fused: bool = True
    ladder: list[int] | None = None
    normalize_scale: bool = False
    tuning: RewardTuning | None = None
    finalists: int = 0
    finalist_seeds: int = 3
    finalist_epochs: int = 100
    validate_every: int = 0
    log_candidates: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that make no search.

        Raises:
            ValueError: If a number is out of its range.
        """
        for name in ("rounds", "candidates", "draws", "most_draws", "most_failures", "top", "population"):
            if getattr(self, name) < 1:
                raise ValueError(f"--search.{name} is {getattr(self, name)}, but a search needs at least 1")
        for name in ("holdout", "least_right_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"--search.{name} is {getattr(self, name)}, but a share lies in [0, 1)")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"--search.{name} is {getattr(self, name)}, but cannot be negative")
        if not self.child_timeout <= _LONGEST_TIMEOUT:
            raise ValueError(
                f"--search.child_timeout is {self.child_timeout:g}, but at most {_LONGEST_TIMEOUT:g} seconds can be "
                "waited for; 0 sets no limit"
            )
        if self.tuning is not None and not self.relative:
            raise ValueError(
                "--search.tuning tunes the baseline, and --search.relative false has none: leave one of them out"
            )
        self._check_finalists()
        self._refuse_limits_that_leave_no_formula()
        self._check_ends()
        above_zero("--search.temperature", self.named_temperature)
        self.halving  # noqa: B018 (refuses numbers that make no ladder)

    def _check_ends(self) -> None:
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"--search.patience is {self.patience}, but a search needs at least 1 round")
        self.limits  # noqa: B018 (refuses what is no time)

    def _check_finalists(self) -> None:
        if self.finalist_epochs < 1:
            raise ValueError(f"--search.finalist_epochs is {self.finalist_epochs}, but a training needs at least 1")
        if self.finalist_seeds < 2:
            raise ValueError(
                f"--search.finalist_seeds is {self.finalist_seeds}, but the spread between trainings takes at least 2"
            )
        if self.validate_every and not self.finalists:
            raise ValueError(
                f"--search.validate_every is {self.validate_every}, but there are no finalists to train: give their "
                "number with --search.finalists"
            )

    def _refuse_limits_that_leave_no_formula(self) -> None:
        for name in ("largest_gradient", "most_operators"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"--search.{name} is {limit}, which leaves no formula to train; it is more than 0")

    def of_model(self, recommender: pl.LightningModule) -> "SearchSettings":
        """Return the options with metric, space, baseline and references that suit a model, where none are named."""
        if getattr(recommender, "gives", None) != "scores":
            return self
        own = getattr(recommender, "validation_metric", _MONITOR)
        return replace(
            self,
            monitor=own if self.monitor == _MONITOR else self.monitor,
            space=self.space or RankingSpace(),
            baseline=self.baseline or SampledSoftmax(self.named_temperature),
            references=listwise_losses() if self.references is None else self.references,
        )

    def of_data(self, datamodule: pl.LightningDataModule) -> "SearchSettings":
        """Return the options with rewards on the validation split, where data cannot hold out training rows."""
        if not self.holdout or hasattr(datamodule, "hold_out"):
            return self
        rank_zero_info(
            f"{type(datamodule).__name__} has no hold_out(share, seed), so that rewards are measured on its validation "
            "split, and not on rows held out of training"
        )
        return replace(self, holdout=0.0)

    @property
    def limits(self) -> SearchLimits:
        """When the search ends.

        Raises:
            ValueError: If the time budget is no duration.
        """
        try:
            seconds = None if self.time_budget is None else seconds_of(self.time_budget)
        except ValueError as error:
            raise ValueError(f"--search.time_budget: {error}") from error
        return SearchLimits(
            self.rounds,
            self.warmup_updates,
            self.most_failures,
            self.top,
            self.validate_every,
            time_budget=seconds,
            patience=self.patience,
        )

    @property
    def halving(self) -> SuccessiveHalving:
        """The budgets of a round."""
        return SuccessiveHalving(self.ladder) if self.ladder is not None else SuccessiveHalving()

    @property
    def named_space(self) -> SearchSpace:
        """The space of the formulas."""
        return self.space or SearchSpace()

    @property
    def named_numerics(self) -> Numerics:
        """The protection of the formulas as a value."""
        return Numerics.named(self.numerics) if isinstance(self.numerics, str) else self.numerics

    @property
    def named_temperature(self) -> float:
        """The temperature of formulas of scores."""
        return DEFAULT_TEMPERATURE if self.temperature is None else self.temperature

    @property
    def named_seeds(self) -> Programs | None:
        """The programs that the first round begins with.

        Raises:
            ValueError: If one is no formula of the space.
        """
        texts = [text for text in self.seeds or () if text != KNOWN]
        programs = [self.named_space.encode(Formula.parse(text)) for text in texts]
        if KNOWN in (self.seeds or ()):
            programs += known_programs(self.named_space)
        return Programs.concatenate(programs) if programs else None

    @property
    def named_baseline(self) -> LossObject | None:
        """The baseline of relative rewards; ``None`` if rewards are the metric itself."""
        return self.compared_baseline if self.relative else None

    @property
    def compared_baseline(self) -> LossObject:
        """The loss that finalists are compared with, whatever rewards are."""
        return self.baseline or BCE()

    @property
    def named_references(self) -> dict[str, LossObject]:
        """The reference losses by their titles."""
        losses: Sequence[LossObject] = hand_made_losses() if self.references is None else self.references
        return {loss.title: loss for loss in losses}


def hand_made_losses() -> list[Loss]:
    """Return the common pointwise losses."""
    return [BCE(), MSE(), Hinge(), Focal(), MaxR(), SumR(), LogMin()]


def listwise_losses() -> list[LossObject]:
    """Return the listwise losses, the sampled softmax first."""
    kinds = (SampledSoftmax, SampledBPR, SampledBCE, BSL, PSL, SLatK, Talos, CCL, SampledWARP, DirectAU)
    return [kind() for kind in kinds]
