"""A grid of settings with early stopping in one population against a Trainer with EarlyStopping for each of them."""

from functools import partial
from typing import Any

import pytest
import torch

from lightning_modules.losses import BCE, MSE, Loss
from lightning_modules.populations import UnmatchedError
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.trial import Evaluation
from lightning_modules.training.trainers import TrainerFactory
from lightning_modules.training.tuning import Setting
from tests.broken_losses import Infinite
from tests.populations.population_helpers import (
    ADAGRAD,
    ADAM,
    RECIPE,
    SGD,
    InfiniteFarAway,
    assignment,
    biased_mf,
    deep_mf,
    largest_difference,
    planted_data,
)

ADAMW = partial(torch.optim.AdamW, lr=5e-3)
GRIDS: dict[str, tuple[Any, tuple[Setting, ...]]] = {
    "sgd": (SGD, (Setting(0.3, 0.0), Setting(3.0, 0.01), Setting(10.0, 0.0))),
    "adagrad": (ADAGRAD, (Setting(0.05, 0.0), Setting(0.3, 0.001))),
    "adam": (ADAM, (Setting(3e-3, 0.0), Setting(3e-2, 0.0), Setting(3e-2, 1e-3))),
    "adamw": (ADAMW, (Setting(1e-2, 0.3), Setting(5e-2, 0.0))),
}


def trainers(**recipe: Any) -> TrainerFactory:
    return TrainerFactory({**RECIPE, "max_epochs": 12, **recipe})


def data() -> Any:
    return planted_data(batch_size=256)


def fused(size: int = 9, **recipe: Any) -> FusedEvaluator:
    # Falls back on what refuses settings, so that a test fails where kernels do not train.
    otherwise = PopulationEvaluator(trainers(), data(), size=size)
    return FusedEvaluator(trainers(**recipe), data(), size=size, otherwise=otherwise)


def each_alone(recommender: Any, loss: Loss, settings: tuple[Setting, ...], **options: Any) -> list[Evaluation]:
    """Return the result of every setting, trained under a Trainer of its own."""
    separate = TrialEvaluator(trainers(), data())
    return [
        separate.evaluate(recommender, assignment([loss], settings=(setting,), **options))[0] for setting in settings
    ]


@pytest.mark.parametrize(("optimizer", "settings"), GRIDS.values(), ids=GRIDS.keys())
def test_a_copy_ends_when_a_trainer_would_end_it_and_the_best_setting_counts(
    optimizer: Any, settings: tuple[Setting, ...]
) -> None:
    recommender, options = biased_mf(optimizer), {"patience": 2, "keep_weights": True}
    results = fused().evaluate(recommender, assignment([BCE(), MSE()], settings=settings, **options))
    for loss, found in zip([BCE(), MSE()], results, strict=True):
        best = max(each_alone(recommender, loss, settings, **options), key=lambda each: each.score or 0.0)
        assert (found.status, found.setting, found.epoch) == ("trained", best.setting, best.epoch)
        assert found.score == pytest.approx(best.score, abs=1e-6)
        assert largest_difference(found.weights or {}, best.weights or {}) < 1e-4
        assert found.components is not None
        assert best.components is not None
        assert torch.allclose(found.components, best.components, atol=1e-6)
    assert {found.epoch for found in results} != {12}


def test_the_deep_scorer_too() -> None:
    settings, options = (Setting(3e-3, 0.0), Setting(1e-2, 1e-3)), {"patience": 1, "keep_weights": True}
    (found,) = fused().evaluate(deep_mf(ADAM), assignment([BCE()], settings=settings, **options))
    best = max(each_alone(deep_mf(ADAM), BCE(), settings, **options), key=lambda each: each.score or 0.0)
    assert (found.setting, found.epoch) == (best.setting, best.epoch)
    assert found.score == pytest.approx(best.score, abs=1e-5)
    assert largest_difference(found.weights or {}, best.weights or {}) < 1e-3


@pytest.mark.parametrize("recommender", [biased_mf(), deep_mf(ADAM)])
def test_copies_are_trained_as_many_at_a_time_as_there_is_room_for(recommender: Any) -> None:
    settings = GRIDS["adam"][1]
    task = assignment([BCE(), MSE()], settings=settings, patience=2, keep_weights=True)
    together = fused().evaluate(recommender, task)
    for size in (1, 2, 4):
        for one, other in zip(together, fused(size).evaluate(recommender, task), strict=True):
            assert (one.score, one.setting, one.epoch) == (other.score, other.setting, other.epoch)
            assert largest_difference(one.weights or {}, other.weights or {}) == 0.0


def test_a_setting_that_diverges_loses_and_a_loss_of_which_all_do_is_not_finite() -> None:
    wild, tame = Setting(1e30, 0.0), Setting(0.3, 0.0)
    task = assignment([MSE(), Infinite(), InfiniteFarAway()], settings=(wild, tame), patience=2)
    for evaluator in (fused(), TrialEvaluator(trainers(), data())):
        good, broken, far = evaluator.evaluate(biased_mf(SGD), task)
        assert (good.status, good.setting) == ("trained", tame)
        assert (broken.status, broken.score) == ("non-finite", None)
        assert (far.status, far.setting) == ("trained", tame)


def test_without_patience_the_last_epoch_counts() -> None:
    settings = GRIDS["sgd"][1]
    (found,) = fused().evaluate(biased_mf(SGD), assignment([BCE()], settings=settings))
    alone = each_alone(biased_mf(SGD), BCE(), settings)
    assert found.score == pytest.approx(max(each.score or 0.0 for each in alone), abs=1e-6)
    assert (found.epoch, {each.epoch for each in alone}) == (0, {0})


def test_a_metric_that_is_to_be_small_is_least_at_its_best() -> None:
    options: dict[str, Any] = {"monitor": "val/log_loss", "mode": "min"}
    task = assignment([BCE()], settings=GRIDS["adam"][1], patience=2)
    own = FusedEvaluator(
        trainers(), data(), size=3, otherwise=PopulationEvaluator(trainers(), data(), size=3), **options
    )
    (found,), (other,) = (
        each.evaluate(biased_mf(), task) for each in (own, TrialEvaluator(trainers(), data(), **options))
    )
    assert (found.setting, found.epoch) == (other.setting, other.epoch)
    assert found.score == pytest.approx(other.score, rel=1e-5)
    assert found.score is not None
    assert found.score < 0


def test_stacked_tensors_stop_early_with_one_setting_for_all_and_refuse_several() -> None:
    stacked, task = PopulationEvaluator(trainers(), data(), size=2), assignment([BCE(), MSE()], patience=2)
    for one, other in zip(
        stacked.evaluate(biased_mf(), task), TrialEvaluator(trainers(), data()).evaluate(biased_mf(), task), strict=True
    ):
        assert (one.epoch, one.score) == (other.epoch, pytest.approx(other.score, abs=1e-4))
    with pytest.raises(UnmatchedError, match="one learning rate"):
        stacked.evaluate(biased_mf(), assignment([BCE()], settings=GRIDS["adam"][1]))


def test_a_trainer_with_a_least_number_of_epochs_is_left_to_others(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnmatchedError, match="one learning rate"):
        fused(min_epochs=5).evaluate(biased_mf(), assignment([BCE()], settings=GRIDS["adam"][1], patience=1))
    assert "min_epochs=5" in caplog.text
