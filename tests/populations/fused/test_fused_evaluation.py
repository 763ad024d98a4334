"""Fused training of candidates against a Trainer for each of them."""

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.losses import BCE, MSE
from lightning_modules.recommenders import BiasedMF, DeepMF
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.trial import Evaluation
from lightning_modules.training.trainers import TrainerFactory
from lightning_modules.utilities import compiled
from tests.broken_losses import Infinite, Raising
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
    losses,
    planted_data,
)

ADAMW = partial(torch.optim.AdamW, lr=5e-3, weight_decay=0.1)
DECAYING_ADAM = partial(torch.optim.Adam, lr=5e-3, weight_decay=1e-3)
BY_VALUE = {"gradient_clip_val": 1e-4, "gradient_clip_algorithm": "value"}


class Refusing(TrialEvaluator):
    """Trains nothing, so that it is seen when training is left to it."""

    def __init__(self) -> None:
        super().__init__(TrainerFactory(RECIPE), planted_data())

    def evaluate(self, recommender: Any, assignment: Any) -> list[Evaluation]:
        raise AssertionError("not trained by kernels")


class Answering(Refusing):
    def evaluate(self, recommender: Any, assignment: Any) -> list[Evaluation]:
        return [Evaluation("trained", 7.0, 0.0)] * len(assignment.losses)


def evaluator(
    recipe: dict[str, Any] | None = None, size: int = 9, otherwise: Any = None, data: Any = None
) -> FusedEvaluator:
    trainers = TrainerFactory({**RECIPE, **(recipe or {})})
    return FusedEvaluator(trainers, data or planted_data(), size=size, otherwise=otherwise or Refusing())


@pytest.mark.parametrize(
    ("recommender", "recipe"),
    [
        (biased_mf(SGD), BY_VALUE),
        (biased_mf(ADAGRAD), {}),
        (biased_mf(ADAM), {}),
        (biased_mf(ADAM), BY_VALUE),
        (biased_mf(ADAMW), {"gradient_clip_val": 1e-2}),
        (biased_mf(DECAYING_ADAM), {}),
        (deep_mf(ADAM), {"gradient_clip_val": 1e-1}),
    ],
)
def test_candidates_score_and_end_like_those_of_a_trainer_each(recommender: Any, recipe: dict[str, Any]) -> None:
    task = assignment(losses(), keep_weights=True)
    fused = evaluator(recipe).evaluate(recommender, task)
    separate = TrialEvaluator(TrainerFactory({**RECIPE, **recipe}), planted_data()).evaluate(recommender, task)
    for one, other in zip(fused, separate, strict=True):
        assert (one.status, one.error) == ("trained", "")
        assert one.score == pytest.approx(other.score, abs=1e-6)
        assert one.weights is not None
        assert other.weights is not None
        assert largest_difference(one.weights, other.weights) < 1e-5
        assert one.components is not None
        assert other.components is not None
        assert torch.allclose(one.components, other.components, atol=1e-6)
    assert len({each.score for each in fused}) > 4


@pytest.mark.parametrize("recommender", [biased_mf(), deep_mf(ADAM)])
def test_neither_the_group_nor_the_number_of_threads_changes_a_bit(recommender: Any) -> None:
    task = assignment(losses(), keep_weights=True)
    together = evaluator().evaluate(recommender, task)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        on_threads = evaluator().evaluate(recommender, task)
    finally:
        torch.set_num_threads(threads)
    for number, loss in enumerate(losses()):
        (alone,) = evaluator(size=1).evaluate(recommender, assignment([loss], keep_weights=True))
        for other in (together[number], on_threads[number]):
            assert alone.score == other.score
            assert largest_difference(alone.weights or {}, other.weights or {}) == 0.0


@pytest.mark.parametrize("recommender", [biased_mf(), deep_mf(ADAM)], ids=["BiasedMF", "DeepMF"])
@pytest.mark.parametrize("larger", ["num_users", "num_items"])
def test_data_with_more_users_or_items_than_the_model_are_refused(recommender: Any, larger: str) -> None:
    data = planted_data(**{larger: 80})
    (failed,) = evaluator(data=data).evaluate(recommender, assignment([BCE()]))
    assert failed.status == "failed"
    assert failed.error.startswith("IndexError: the model has ")
    assert f"build the model with the data module's {larger}" in failed.error


def test_losses_that_fail_leave_the_others_alone() -> None:
    task = assignment([BCE(), Infinite(), Raising(RuntimeError("boom")), InfiniteFarAway(), MSE()])
    recommender, recipe = biased_mf(SGD, init_bias=12.0), {"max_epochs": 1}
    fused = evaluator(recipe).evaluate(recommender, task)
    separate = TrialEvaluator(TrainerFactory({**RECIPE, **recipe}), planted_data()).evaluate(recommender, task)
    assert [each.status for each in fused] == ["trained", "non-finite", "failed", "non-finite", "trained"]
    assert [each.status for each in separate] == [each.status for each in fused]
    assert fused[2].error == "RuntimeError: boom"
    assert [each.score for each in fused] == pytest.approx([each.score for each in separate], abs=1e-6)


@pytest.mark.timeout(60)
def test_candidates_that_take_too_long_are_ended() -> None:
    trainers = TrainerFactory({**RECIPE, "max_epochs": 100_000})
    fused = FusedEvaluator(trainers, planted_data(), size=2, timeout=0.3, otherwise=Refusing())
    evaluations = fused.evaluate(biased_mf(), assignment((BCE(), MSE())))
    assert ["TimeoutError" in each.error for each in evaluations] == [True, True]


def without_relu() -> DeepMF:
    recommender = deep_mf()
    recommender.mlp[2] = torch.nn.Tanh()
    return recommender


class Twisted(BiasedMF):
    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return -super().forward(user, item)


@pytest.mark.parametrize(
    ("recommender", "recipe", "reason"),
    [
        (without_relu, {}, "Tanh"),
        (lambda: Twisted(61, 51, optimizer=ADAM), {}, "its own forward"),
        (lambda: biased_mf(partial(torch.optim.SGD, lr=0.1, momentum=0.9)), {}, "momentum=0.9"),
        (lambda: biased_mf(torch.optim.RMSprop), {}, "RMSprop"),
        (lambda: biased_mf(partial(torch.optim.Adam, betas=(0.9, 0.9))), {}, "betas"),
        (lambda: biased_mf(partial(torch.optim.Adam, eps=0.0)), {}, "eps"),
        (biased_mf, {"limit_train_batches": 3}, "limit_train_batches"),
        (biased_mf, {"max_steps": 5}, "max_steps"),
        (biased_mf, {"accumulate_grad_batches": 2}, "accumulate_grad_batches"),
        (biased_mf, {"callbacks": [pl.callbacks.LearningRateMonitor()]}, "callbacks"),
    ],
)
def test_what_kernels_cannot_do_is_trained_as_without_them_and_said_once(
    recommender: Any, recipe: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    fused = evaluator(recipe, otherwise=Answering())
    fused.check(recommender())
    for _ in range(2):
        assert [each.score for each in fused.evaluate(recommender(), assignment([BCE()]))] == [7.0]
    (said,) = caplog.messages
    assert reason in said


def test_so_are_labels_between_0_and_1_and_a_place_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    data = planted_data()
    data.setup("fit")
    data.rows["train"] = data.rows["train"]._replace(label=data.rows["train"].label * 0.9)
    fused = evaluator(otherwise=Answering(), data=data)
    fused.check(biased_mf())
    assert [each.score for each in fused.evaluate(biased_mf(), assignment([BCE()]))] == [7.0]
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    without = evaluator(otherwise=Answering())
    without.check(biased_mf())
    assert [each.score for each in without.evaluate(biased_mf(), assignment([BCE()]))] == [7.0]


def test_what_the_other_way_refuses_is_refused() -> None:
    trainers = TrainerFactory({**RECIPE, "accumulate_grad_batches": 2})
    fused = FusedEvaluator(
        trainers, planted_data(), size=2, otherwise=PopulationEvaluator(trainers, planted_data(), size=2)
    )
    with pytest.raises(ValueError, match="accumulate_grad_batches"):
        fused.check(biased_mf())
