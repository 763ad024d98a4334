import copy
import math
import signal
from collections.abc import Iterator

import pytest
import torch
from child_helpers import Infinite, NoisySquare, Raising, evaluator, planted_data, untrained

from lightning_modules.losses import BCE, MSE, FormulaLoss, Loss
from lightning_modules.search.evaluation import Evaluation

SQUARED_ERROR = FormulaLoss("(pred - label)**2")
REVERSED_ERROR = FormulaLoss("-(pred - label)**2")


def score(loss: Loss, seed: int = 0, weights: int = 0) -> float:
    """Evaluate under objects that are all new."""
    data = planted_data()
    evaluation = evaluator(data)(untrained(data, weights), loss, name="child", seed=seed)
    assert evaluation.score is not None
    return evaluation.score


@pytest.fixture
def interruptible() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("loss", [SQUARED_ERROR, NoisySquare()], ids=["formula", "noisy"])
def test_a_child_depends_on_nothing_but_loss_weights_and_seed(loss: Loss) -> None:
    data = planted_data()
    recommender, evaluate = untrained(data), evaluator(data)
    first = evaluate(recommender, loss, name="first", seed=3)
    evaluate(recommender, REVERSED_ERROR, name="between", seed=4)
    torch.rand(10)
    second = evaluate(recommender, loss, name="second", seed=3)
    assert first.score == second.score == score(copy.deepcopy(loss), seed=3)
    assert first.model is not None
    assert second.model is not None
    for left, right in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_loss_weights_and_seed_all_matter() -> None:
    scores = [
        score(SQUARED_ERROR),
        score(SQUARED_ERROR, seed=1),
        score(SQUARED_ERROR, weights=1),
        score(REVERSED_ERROR),
    ]
    assert len(set(scores)) == 4


def test_the_recommender_stays_as_it_is_and_the_child_is_trained() -> None:
    data = planted_data()
    recommender, loss = untrained(data), BCE()
    recommender.loss = loss
    before = copy.deepcopy(recommender.state_dict())
    evaluation = evaluator(data)(recommender, SQUARED_ERROR, name="child", seed=0)
    assert recommender.loss is loss
    assert evaluation.model is not None
    assert evaluation.model.loss is SQUARED_ERROR
    for name, value in recommender.state_dict().items():
        assert torch.equal(value, before[name])
    assert not torch.equal(evaluation.model.state_dict()["user_embedding.weight"], before["user_embedding.weight"])


@pytest.mark.parametrize("loss", [NoisySquare(), Raising(ValueError("boom"))], ids=["noisy", "failing"])
def test_torchs_own_randomness_is_left_alone(loss: Loss) -> None:
    data = planted_data()
    recommender, evaluate = untrained(data), evaluator(data)
    before = torch.get_rng_state()
    evaluate(recommender, loss, name="child", seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_good_loss_scores_better_than_its_negative() -> None:
    data = planted_data()
    evaluate = evaluator(data, epochs=5)
    good, bad = (evaluate(untrained(data), loss, name="child", seed=0) for loss in (SQUARED_ERROR, REVERSED_ERROR))
    assert (good.status, bad.status) == ("trained", "trained")
    assert good.score is not None
    assert bad.score is not None
    assert good.score > 0.6 > 0.5 > bad.score


def test_a_formula_scores_like_the_hand_made_loss_that_it_is() -> None:
    assert score(SQUARED_ERROR) == pytest.approx(score(MSE()), abs=1e-3)


def test_the_score_is_the_metric_with_the_sign_of_the_mode() -> None:
    data = planted_data()
    evaluation = evaluator(data, monitor="val/log_loss", mode="min")(untrained(data), BCE(), name="child", seed=0)
    assert evaluation.model is not None
    batch = data.rows["validation"]
    with torch.no_grad():
        expected = BCE().from_logit(evaluation.model(batch.user, batch.item), batch.label).mean()
    assert evaluation.score == pytest.approx(-expected.item(), rel=1e-5)


def test_an_error_is_the_result_of_the_child() -> None:
    data = planted_data()
    evaluation = evaluator(data)(untrained(data), Raising(ValueError("boom")), name="child", seed=0)
    assert isinstance(evaluation, Evaluation)
    assert (evaluation.status, evaluation.score, evaluation.model) == ("failed", None, None)
    assert evaluation.error == "ValueError: boom"
    assert evaluation.seconds > 0


def test_an_unknown_metric_is_an_error_that_names_the_known_ones() -> None:
    data = planted_data()
    evaluation = evaluator(data, monitor="val/ndcg")(untrained(data), BCE(), name="child", seed=0)
    assert evaluation.status == "failed"
    assert "'val/ndcg'" in evaluation.error
    assert "val/auc" in evaluation.error


def test_a_loss_that_is_not_finite_has_no_score() -> None:
    data = planted_data()
    evaluation = evaluator(data)(untrained(data), Infinite(), name="child", seed=0)
    assert (evaluation.status, evaluation.score, evaluation.error) == ("non-finite", None, "")


def test_the_clamp_of_its_nodes_keeps_a_formula_finite() -> None:
    assert math.isfinite(score(FormulaLoss("pred * 1e300 * 1e300")))


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_search() -> None:
    data = planted_data()
    with pytest.raises(KeyboardInterrupt):
        evaluator(data)(untrained(data), Raising(KeyboardInterrupt()), name="child", seed=0)
