from collections.abc import Callable
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
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
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
