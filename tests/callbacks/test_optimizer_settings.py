from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop, Rprop
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from callbacks.optimizer_settings import OptimizerSettings
from tests.trainer_helpers import quiet_trainer

EPOCHS = 5
Schedule = Callable[[Optimizer], LRScheduler]


def warm_up_and_decay(optimizer: Optimizer) -> LRScheduler:
    parts: list[LRScheduler] = [LinearLR(optimizer, 0.25, total_iters=2), ExponentialLR(optimizer, 0.5)]
    return SequentialLR(optimizer, parts, milestones=[2])


SCHEDULES: dict[str, Schedule] = {
    "step": lambda optimizer: StepLR(optimizer, 2, gamma=0.1),
    "lambda": lambda optimizer: LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
    "lambda warm-up": lambda optimizer: LambdaLR(optimizer, lambda epoch: min(1.0, (1 + epoch) / 3)),
    "linear warm-up": lambda optimizer: LinearLR(optimizer, 1 / 3, total_iters=3),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, EPOCHS),
    "sequential": warm_up_and_decay,
    "chained": lambda optimizer: ChainedScheduler(
        [LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.9)], optimizer=optimizer
    ),
}


class Model(pl.LightningModule):
    """Notes the learning rate and weight decay of every group in every epoch."""

    def __init__(self, optimizer: Callable[[Any], Optimizer], schedule: Schedule | None = None) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1)
        self.make, self.schedule = optimizer, schedule
        self.seen: list[list[tuple[float, float]]] = []

    def training_step(self, batch: Tensor) -> Tensor:
        groups = self.trainer.optimizers[0].param_groups
        self.seen.append([(group["lr"], group.get("weight_decay", 0.0)) for group in groups])
        return self.second(self.first(batch)).sum()

    def configure_optimizers(self) -> Any:
        groups = [{"params": self.first.parameters()}, {"params": self.second.parameters(), "lr": 0.5}]
        optimizer = self.make(groups)
        return ([optimizer], [self.schedule(optimizer)]) if self.schedule else optimizer


def fitted(model: Model, *callbacks: pl.Callback) -> Model:
    trainer = quiet_trainer(max_epochs=EPOCHS, callbacks=[*callbacks])
    trainer.fit(model, torch.utils.data.DataLoader(torch.ones(1, 1)))  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("optimizer", [SGD, Adam, RMSprop])
def test_every_group_has_both_from_the_first_step_on(optimizer: type[Optimizer]) -> None:
    model = fitted(Model(lambda groups: optimizer(groups, lr=0.1)), OptimizerSettings(0.0375, 0.25))  # type: ignore[call-arg]
    assert model.seen == [[(0.0375, 0.25)] * 2] * EPOCHS


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_a_schedule_goes_as_if_the_optimizer_had_been_built_with_the_learning_rate(schedule: Schedule) -> None:
    model = fitted(Model(lambda groups: SGD(groups, lr=0.5), schedule), OptimizerSettings(0.03, 0.01))
    expected = fitted(Model(lambda groups: SGD([{**group, "lr": 0.03} for group in groups], lr=0.03), schedule))
    rates = [[rate for rate, _ in groups] for groups in model.seen]
    assert rates == [pytest.approx([rate for rate, _ in groups]) for groups in expected.seen]
    assert len({groups[0] for groups in rates}) > 1


PEAKED: dict[str, Callable[[Optimizer, float], LRScheduler]] = {
    "one cycle": lambda optimizer, peak: OneCycleLR(optimizer, peak, total_steps=EPOCHS + 1, pct_start=0.5),
    "cyclic": lambda optimizer, peak: CyclicLR(optimizer, peak / 10, peak, step_size_up=3, cycle_momentum=False),
    "warm-up, then cyclic": lambda optimizer, peak: SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.5, total_iters=2), CyclicLR(optimizer, peak / 10, peak, cycle_momentum=False)],
        milestones=[2],
    ),
}


@pytest.mark.parametrize("schedule", PEAKED.values(), ids=PEAKED.keys())
def test_a_schedule_that_rises_to_a_peak_rises_to_the_learning_rate(
    schedule: Callable[[Optimizer, float], LRScheduler],
) -> None:
    def model(peak: float) -> Model:
        def same_everywhere(groups: Any) -> Optimizer:
            return SGD([{**group, "lr": peak} for group in groups], lr=peak, momentum=0.9)

        return Model(same_everywhere, lambda optimizer: schedule(optimizer, peak))

    given, built = fitted(model(0.5), OptimizerSettings(0.03)), fitted(model(0.03))
    rates = [[rate for rate, _ in groups] for groups in given.seen]
    assert rates == [pytest.approx([rate for rate, _ in groups]) for groups in built.seen]
    assert rates[1][0] > rates[0][0]


def test_groups_with_peaks_of_their_own_all_rise_to_the_learning_rate() -> None:
    def schedule(optimizer: Optimizer) -> LRScheduler:
        return OneCycleLR(optimizer, [0.1, 0.5], total_steps=EPOCHS + 1, pct_start=0.5)

    model = fitted(Model(lambda groups: SGD(groups, lr=0.1, momentum=0.9), schedule), OptimizerSettings(0.03))
    assert all(first == pytest.approx(second) for first, second in model.seen)
    assert max(groups[0][0] for groups in model.seen) == pytest.approx(0.03, rel=0.2)


def test_every_optimizer_has_the_schedulers_that_are_its_own() -> None:
    first, second = (SGD([nn.Parameter(torch.ones(1))], lr=rate, momentum=0.9) for rate in (0.1, 0.2))
    cycle, decay = OneCycleLR(first, 0.4, total_steps=9), ExponentialLR(second, 0.5)
    configs = [SimpleNamespace(scheduler=each) for each in (cycle, decay)]
    trainer: Any = SimpleNamespace(optimizers=[first, second], lr_scheduler_configs=configs)
    OptimizerSettings(0.03).on_train_start(trainer, Model(SGD))
    assert (first.param_groups[0]["max_lr"], second.param_groups[0]["lr"]) == (0.03, 0.03)
    assert (cycle.base_lrs, decay.base_lrs) == ([pytest.approx(0.03 / 25)], [0.03])


def test_a_floor_stays() -> None:
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    plateau = ReduceLROnPlateau(optimizer, min_lr=0.05, patience=0)
    trainer: Any = SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=[SimpleNamespace(scheduler=plateau)])
    OptimizerSettings(0.3).on_train_start(trainer, Model(SGD))
    assert (optimizer.param_groups[0]["lr"], plateau.min_lrs) == (0.3, [0.05])


def test_an_optimizer_without_weight_decay_is_refused_only_if_some_is_asked_for() -> None:
    def rprop(groups: Any) -> Optimizer:
        return Rprop(groups, lr=0.1)

    fitted(Model(rprop), OptimizerSettings(0.01, 0.0))
    with pytest.raises(MisconfigurationException, match=r"Rprop has no weight decay that 0.1 .*weight_decays \[0\]"):
        fitted(Model(rprop), OptimizerSettings(0.01, 0.1))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (OptimizerSettings(), [(0.1, 0.2), (0.5, 0.2)]),
        (OptimizerSettings(learning_rate=0.03), [(0.03, 0.2), (0.03, 0.2)]),
        (OptimizerSettings(weight_decay=0.25), [(0.1, 0.25), (0.5, 0.25)]),
        (OptimizerSettings(weight_decay=0.0), [(0.1, 0.0), (0.5, 0.0)]),
    ],
)
def test_what_is_none_stays_as_the_optimizer_has_it(
    settings: OptimizerSettings, expected: list[tuple[float, float]]
) -> None:
    model = fitted(Model(lambda groups: SGD(groups, lr=0.1, weight_decay=0.2)), settings)
    assert model.seen == [expected] * EPOCHS


def test_without_a_learning_rate_a_schedule_stays_as_it_is() -> None:
    def optimizer(groups: Any) -> Optimizer:
        return SGD(groups, lr=0.5)

    plain, given = (
        fitted(Model(optimizer, warm_up_and_decay), *callbacks) for callbacks in ((), (OptimizerSettings(),))
    )
    assert given.seen == plain.seen


def test_an_optimizer_without_weight_decay_may_keep_it_unset() -> None:
    def rprop(groups: Any) -> Optimizer:
        return Rprop(groups, lr=0.1)

    model = fitted(Model(rprop), OptimizerSettings(learning_rate=0.02))
    assert model.seen == [[(0.02, 0.0), (0.02, 0.0)]] * EPOCHS
