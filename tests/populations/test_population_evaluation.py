from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score

from lightning_modules.losses import BCE, MSE, Focal
from lightning_modules.populations import UnmatchedError
from lightning_modules.recommenders import BiasedMF, RankNet, Recommender
from lightning_modules.search.population_evaluation import PopulationEvaluator
from lightning_modules.search.trial import Evaluation
from lightning_modules.statistics.standard_errors import standard_error
from lightning_modules.training.trainers import TrainerFactory
from tests.broken_losses import Infinite, Raising
from tests.far_logits import moved
from tests.populations.population_helpers import (
    ADAGRAD,
    ADAM,
    RECIPE,
    SGD,
    InfiniteFarAway,
    assignment,
    biased_mf,
    both,
    deep_mf,
    largest_difference,
    losses,
    planted_data,
)

BY_VALUE = {"gradient_clip_val": 1e-4, "gradient_clip_algorithm": "value"}
BY_NORM = {"gradient_clip_val": 1e-2}


def evaluate(
    recommender: Recommender, *of: Any, recipe: dict[str, Any] | None = None, **options: Any
) -> list[Evaluation]:
    trainers = TrainerFactory({**RECIPE, **(recipe or {})})
    return PopulationEvaluator(trainers, planted_data(), size=9, **options).evaluate(
        recommender, assignment(of or (BCE(),))
    )


def crossed() -> list[Any]:
    """Return every optimizer with every clipping, all but a pair of each of them as slow."""
    optimizers = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM}
    recipes: dict[str, dict[str, Any]] = {"free": {}, "clipped": BY_VALUE, "clipped norm": BY_NORM}
    return [
        pytest.param(optimizer, recipe, id=f"{kind} {clipping}", marks=[] if row == column else [pytest.mark.slow])
        for row, (kind, optimizer) in enumerate(optimizers.items())
        for column, (clipping, recipe) in enumerate(recipes.items())
    ]


@pytest.mark.parametrize(("optimizer", "recipe"), crossed())
def test_a_population_scores_and_ends_like_a_child_each(optimizer: Any, recipe: dict[str, Any]) -> None:
    children, population = both(biased_mf(optimizer), assignment(losses(), keep_weights=True), recipe)
    for child, copy in zip(children, population, strict=True):
        assert (copy.status, copy.error) == ("trained", "")
        assert copy.score == pytest.approx(child.score, abs=1e-4)
        error = standard_error(child.components, children[0].components)
        assert standard_error(copy.components, population[0].components) == pytest.approx(error, abs=2e-4)
        assert child.weights is not None
        assert copy.weights is not None
        assert largest_difference(child.weights, copy.weights) < 1e-4
    assert len({copy.score for copy in population}) > 4


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(SGD, {}), (ADAGRAD, {"dropout": 0.0}), (ADAM, {"batch_norm": False}), (SGD, {"batch_norm": False})],
)
def test_the_deep_scorer_too(optimizer: Any, options: dict[str, Any]) -> None:
    task = assignment((BCE(), MSE()), keep_weights=True, epochs=1)
    children, population = both(deep_mf(optimizer, **options), task, BY_VALUE | {"gradient_clip_val": 1.0})
    for child, copy in zip(children, population, strict=True):
        assert copy.score == pytest.approx(child.score, abs=1e-3)
        assert child.weights is not None
        assert copy.weights is not None
        assert largest_difference(child.weights, copy.weights) < 1e-3


@pytest.mark.parametrize("dropout", [pytest.param(0.0, marks=pytest.mark.slow), 0.2])
def test_equal_trainings_of_the_deep_scorer_end_alike(dropout: float) -> None:
    recommender, task = deep_mf(ADAM, dropout=dropout), assignment((BCE(), MSE(), Focal()))
    near = deepcopy(recommender)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in near.parameters():
            parameter.add_(1e-7 * torch.randn(parameter.shape, generator=generator))
    scores = [[each.score for each in kind] for start in (recommender, near) for kind in both(start, task)]
    for others in scores[1:]:
        assert others == pytest.approx(scores[0], abs=1e-5)


def test_what_a_child_does_not_train_a_population_does_not() -> None:
    recommender = deep_mf(ADAM)
    recommender.mlp[-1].requires_grad_(False)
    children, population = both(recommender, assignment((BCE(),), keep_weights=True))
    before, (child, copied) = recommender.state_dict(), (each[0].weights for each in (children, population))
    assert child is not None
    assert copied is not None
    assert largest_difference(child, copied) < 1e-4
    for name in ("mlp.0.bias", "mlp.4.bias", "mlp.8.weight"):
        assert torch.equal(copied[name], before[name])
    assert not torch.equal(copied["mlp.0.weight"], before["mlp.0.weight"])


def test_a_last_batch_of_one_row_is_normalised_as_in_a_child() -> None:
    recommender, data = deep_mf(SGD), planted_data(num_interactions=500)
    data.batch_size = len(data.train_dataloader().rows[0]) - 1
    children, population = both(recommender, assignment((BCE(),), keep_weights=True))
    assert children[0].weights is not None
    assert population[0].weights is not None
    assert largest_difference(children[0].weights, population[0].weights) < 1e-5


@pytest.mark.parametrize(
    "limit", [{"max_steps": 8, "max_epochs": -1, "val_check_interval": 4}, {"limit_train_batches": 5}]
)
def test_limits_of_the_recipe_hold(limit: dict[str, Any]) -> None:
    children, population = both(biased_mf(), assignment((BCE(), MSE()), keep_weights=True), limit)
    for child, copy in zip(children, population, strict=True):
        assert child.weights is not None
        assert copy.weights is not None
        assert largest_difference(child.weights, copy.weights) < 1e-5


def test_epochs_of_the_assignment_go_before_the_recipe() -> None:
    children, population = both(biased_mf(), assignment((BCE(),), epochs=4))
    assert population[0].score == pytest.approx(children[0].score, abs=1e-5)
    assert population[0].score != both(biased_mf(), assignment((BCE(),)))[1][0].score


def test_another_metric_and_its_sign() -> None:
    children, population = both(biased_mf(), assignment(losses()), monitor="val/log_loss", mode="min")
    for child, copy in zip(children, population, strict=True):
        assert copy.score == pytest.approx(child.score, rel=1e-4)
        assert copy.score is not None
        assert copy.score < 0


def test_the_recommender_and_torchs_randomness_stay_as_they_are() -> None:
    recommender = deep_mf()
    before = {name: value.clone() for name, value in recommender.state_dict().items()}
    state, loss = torch.get_rng_state(), recommender.loss
    evaluate(recommender, MSE())
    assert torch.equal(torch.get_rng_state(), state)
    assert recommender.loss is loss
    assert largest_difference(before, recommender.state_dict()) == 0


def test_what_becomes_of_a_loss_is_not_that_of_the_others() -> None:
    task = assignment((BCE(), Infinite(), Raising(ArithmeticError("boom")), InfiniteFarAway()), epochs=1)
    children, population = both(biased_mf(), task)
    assert [copy.status for copy in population] == ["trained", "non-finite", "failed", "trained"]
    assert [child.status for child in children] == [copy.status for copy in population]
    assert population[2].error == "ArithmeticError: boom"
    for child, copy in zip(children, population, strict=True):
        assert (copy.score is None) == (child.score is None)
        assert copy.score is None or copy.score == pytest.approx(child.score, abs=1e-4)


def test_a_diverging_candidate_is_not_finite() -> None:
    optimizer = partial(torch.optim.SGD, lr=1e30)
    children, population = both(biased_mf(optimizer), assignment((MSE(), BCE()), epochs=1))
    assert [child.status for child in children] == [copy.status for copy in population] == ["non-finite"] * 2


def test_a_failing_trainer_is_the_failure_of_all() -> None:
    evaluations = evaluate(biased_mf(), BCE(), MSE(), recipe={"max_epochs": "many"})
    assert [each.status for each in evaluations] == ["failed"] * 2
    assert all(each.error for each in evaluations)


def test_an_unknown_metric_names_the_known_ones() -> None:
    (evaluation,) = evaluate(biased_mf(), monitor="val/ndcg")
    assert evaluation.status == "failed"
    assert "'val/ndcg'" in evaluation.error
    assert "val/auc" in evaluation.error


def test_labels_between_0_and_1_are_refused() -> None:
    data = planted_data()
    data.setup()
    data.rows["train"] = data.rows["train"]._replace(label=data.rows["train"].label * 0.5)
    (evaluation,) = PopulationEvaluator(TrainerFactory(RECIPE), data, size=1).evaluate(
        biased_mf(), assignment((BCE(),))
    )
    assert "0 or 1" in evaluation.error


@pytest.mark.timeout(60)
def test_a_population_that_takes_too_long_is_ended() -> None:
    trainers = TrainerFactory({**RECIPE, "max_epochs": 100_000})
    evaluator = PopulationEvaluator(trainers, planted_data(), size=2, timeout=0.3)
    evaluations = evaluator.evaluate(biased_mf(), assignment((BCE(), MSE())))
    assert [each.status for each in evaluations] == ["failed"] * 2
    assert "TimeoutError" in evaluations[0].error


class Twisted(BiasedMF):
    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return -super().forward(user, item)


class Plain(pl.LightningModule):
    pass


def with_frozen_users() -> Recommender:
    recommender = biased_mf()
    recommender.user_embedding.requires_grad_(False)
    return recommender


def with_scheduler(recommender: Recommender) -> Recommender:
    optimizer = torch.optim.SGD(recommender.parameters(), lr=0.1)
    recommender.optimizer = lambda _: [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]
    return recommender


@pytest.mark.parametrize(
    ("recommender", "words"),
    [
        (lambda: biased_mf(None), "weight_decay=0.0001"),
        (lambda: biased_mf(partial(torch.optim.Adam, amsgrad=True)), "amsgrad"),
        (lambda: biased_mf(partial(torch.optim.Adam, betas=(0.9, 0.91))), "beta"),
        (lambda: biased_mf(partial(torch.optim.SGD, lr=0.1, momentum=0.9)), "momentum=0.9"),
        (lambda: biased_mf(torch.optim.AdamW), "AdamW"),
        (lambda: biased_mf(lambda parameters: ([torch.optim.SGD(parameters)], [])), "tuple"),
        (lambda: biased_mf(lambda parameters: torch.optim.SGD(list(parameters)[:2])), "some parameters"),
        (with_frozen_users, "some parameters"),
        (lambda: Twisted(9, 9, optimizer=ADAM), "its own forward"),
        (lambda: RankNet(9, 9, optimizer=ADAM), "its own sample_loss"),
        (Plain, "nothing stacks it"),
    ],
)
def test_what_cannot_be_matched_is_refused(recommender: Any, words: str) -> None:
    with pytest.raises(UnmatchedError, match=words):
        evaluate(recommender())


@pytest.mark.parametrize(
    "recipe",
    [
        {"accumulate_grad_batches": 2},
        {"precision": "bf16-mixed"},
        {"callbacks": [pl.callbacks.EarlyStopping("val/auc")]},
    ],
)
def test_recipes_that_cannot_be_matched_are_refused(recipe: dict[str, Any]) -> None:
    evaluator = PopulationEvaluator(TrainerFactory({**RECIPE, **recipe}), planted_data(), size=1)
    with pytest.raises(UnmatchedError, match=next(iter(recipe))):
        evaluator.check(biased_mf())
    PopulationEvaluator(TrainerFactory(RECIPE), planted_data(), size=1).check(biased_mf())


def test_a_population_has_candidates() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PopulationEvaluator(TrainerFactory(RECIPE), planted_data(), size=0)


@moved
def test_rewards_do_not_depend_on_where_logits_lie(scale: float, shift: float) -> None:
    start = biased_mf(partial(torch.optim.SGD, lr=1e-20), init_std=0.5)
    with torch.no_grad():
        for weight in start.parameters():
            weight.copy_((8 * weight).round() / 8)
    data = planted_data()
    data.setup("validate")
    rows = data.rows["validation"]
    right = roc_auc_score(rows.label, start(rows.user, rows.item).detach().double())
    with torch.no_grad():
        start.user_embedding.weight.mul_(scale)
        start.global_bias.mul_(scale).add_(shift)
    for child, copy in zip(*both(start, assignment((MSE(),), epochs=1)), strict=True):
        assert (child.score, copy.score) == (pytest.approx(right, abs=1e-7), pytest.approx(right, abs=1e-7))
