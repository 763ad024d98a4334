"""Losses may look at the features of the rows, whose fields and tasks they are told before training."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_modules.core.epoch_statistics import EpochStatistics
from lightning_modules.losses import BCE, MSE, InversePropensity, Loss
from lightning_modules.multitask import ESMM, MetaHeac, MultiTaskModel, SharedBottom
from tests.multitask.multitask_helpers import FIELD_SIZES, MODELS, build, loader, planted
from tests.trainer_helpers import quiet_trainer

every_model = pytest.mark.parametrize("model_class", MODELS)


class FeatureWeighted(EpochStatistics, Loss):
    """Binary cross-entropy times one plus the first field's index plus the square of the first feature."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[list[int], int, list[str]]] = []
        self.seen: list[Tensor] = []

    def prepare(self, field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str]) -> None:
        self.told.append((list(field_sizes), num_numerical, list(tasks)))

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        raise AssertionError("the features of the rows are left out")

    def of_rows(self, logit: Tensor, label: Tensor, categorical: Tensor, numerical: Tensor) -> Tensor:
        self.seen.append(categorical)
        return feature_weight(categorical, numerical) * BCE()(logit, label)

    def reset(self) -> None:
        self.seen = []

    def statistics(self) -> Iterator[tuple[str, Tensor]]:
        yield "seen/rows", torch.tensor(float(sum(map(len, self.seen))))


class Refusing(Loss):
    """Fits no task but pay."""

    def prepare(self, field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str]) -> None:
        if list(tasks) != ["pay"]:
            raise ValueError(f"made for pay, not for {', '.join(tasks)}")

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        raise AssertionError("training has started")


def feature_weight(categorical: Tensor, numerical: Tensor) -> Tensor:
    return (1 + categorical[:, 0] + numerical[:, 0].square())[:, None]


@every_model
def test_a_loss_gets_the_features_of_its_rows(model_class: type[MultiTaskModel]) -> None:
    model, batch = build(model_class, loss=FeatureWeighted()).eval(), planted()
    weighted = model.task_losses(batch)
    model.loss = BCE()
    expected = feature_weight(batch.categorical, batch.numerical) * model.task_losses(batch)
    torch.testing.assert_close(weighted, expected)


def test_the_counterfactual_term_of_esmm_is_added_as_it_is() -> None:
    model, batch = build(ESMM, loss=FeatureWeighted(), inverse_propensity=InversePropensity()).eval(), planted()
    term = model.inverse_propensity(model.step_logits(batch.categorical, batch.numerical), batch.label)
    weighted = model.task_losses(batch) - term
    model.loss, model.inverse_propensity = BCE(), None
    expected = feature_weight(batch.categorical, batch.numerical) * model.task_losses(batch)
    torch.testing.assert_close(weighted, expected)


def test_metaheac_hands_both_halves_of_a_batch_their_own_features() -> None:
    model, batch = build(MetaHeac, loss=FeatureWeighted()), planted(64)
    model.mean_task_losses(batch)
    assert torch.equal(torch.cat(model.loss.seen), batch.categorical)


def test_a_loss_a_task_gets_the_features_with_its_column() -> None:
    model, batch = build(SharedBottom, loss=[MSE(), FeatureWeighted()]).eval(), planted()
    probability = torch.sigmoid(model(batch.categorical, batch.numerical))
    cross_entropy = nn.functional.binary_cross_entropy(probability[:, 1], batch.label[:, 1], reduction="none")
    expected = [
        (probability[:, 0] - batch.label[:, 0]) ** 2,
        feature_weight(batch.categorical, batch.numerical)[:, 0] * cross_entropy,
    ]
    torch.testing.assert_close(model.task_losses(batch), torch.stack(expected, dim=1))


def test_losses_are_told_fields_and_tasks_once_before_training_and_never_for_a_test() -> None:
    model, rows = build(SharedBottom, loss=FeatureWeighted()), planted(256)
    quiet_trainer().test(model, loader(rows), verbose=False)
    assert model.loss.told == []
    quiet_trainer(max_epochs=2).fit(model, loader(rows), loader(rows))
    assert model.loss.told == [(list(FIELD_SIZES), 2, ["click", "cart"])]
    model.loss = nn.ModuleList([BCE(), FeatureWeighted()])
    quiet_trainer(max_epochs=1).fit(model, loader(rows))
    assert model.loss[1].told == [(list(FIELD_SIZES), 2, ["cart"])]


@pytest.mark.parametrize(("loss", "named"), [(Refusing(), "click, cart"), ([BCE(), Refusing()], "cart")])
def test_a_loss_that_does_not_fit_is_refused_before_training(loss: Loss | list[Loss], named: str) -> None:
    model = build(SharedBottom, loss=loss)
    with pytest.raises(ValueError, match=f"made for pay, not for {named}"):
        quiet_trainer(max_epochs=1).fit(model, loader(planted()), loader(planted()))


def test_a_wrong_number_of_replaced_losses_is_refused_in_words() -> None:
    model = build(SharedBottom)
    model.loss = nn.ModuleList([BCE(), BCE(), BCE()])
    with pytest.raises(ValueError, match="3 losses for 2 tasks"):
        quiet_trainer(max_epochs=1).fit(model, loader(planted()))


def test_what_a_loss_keeps_is_logged_and_forgotten_every_epoch(tmp_path: Path) -> None:
    logger = pl.loggers.CSVLogger(tmp_path)
    trainer = quiet_trainer(max_epochs=2, logger=logger, log_every_n_steps=1)
    model = build(SharedBottom, loss=FeatureWeighted())
    model.task_losses(planted(32))
    trainer.fit(model, loader(planted(256)))
    assert model.loss.seen == []
    table = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    assert table["seen/rows"].dropna().tolist() == [256.0, 256.0]
