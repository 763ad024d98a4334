import copy
import math
import signal
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import BCE, MSE, FormulaLoss, Loss
from lightning_modules.search.trial import Assignment, Evaluation
from tests.broken_losses import Infinite, Raising
from tests.search.child_helpers import NoisySquare, evaluator, planted_data, trained, untrained

SQUARED_ERROR = FormulaLoss("(pred - label)**2")
REVERSED_ERROR = FormulaLoss("-(pred - label)**2")


def score(loss: Loss, seed: int = 0, weights: int = 0) -> float:
    """Evaluate under objects that are all new."""
    data = planted_data()
    evaluation = trained(evaluator(data), untrained(data, weights), loss, seed=seed)
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
    first = trained(evaluate, recommender, loss, seed=3)
    trained(evaluate, recommender, REVERSED_ERROR, seed=4)
    torch.rand(10)
    second = trained(evaluate, recommender, loss, seed=3)
    assert first.score == second.score == score(copy.deepcopy(loss), seed=3)
    assert first.weights is not None
    assert second.weights is not None
    assert all(torch.equal(value, second.weights[name]) for name, value in first.weights.items())


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
    evaluation = trained(evaluator(data), recommender, SQUARED_ERROR)
    assert recommender.loss is loss
    assert evaluation.weights is not None
    for name, value in recommender.state_dict().items():
        assert torch.equal(value, before[name])
    assert not torch.equal(evaluation.weights["user_embedding.weight"], before["user_embedding.weight"])


@pytest.mark.parametrize("loss", [NoisySquare(), Raising(ValueError("boom"))], ids=["noisy", "failing"])
def test_torchs_own_randomness_is_left_alone(loss: Loss) -> None:
    data = planted_data()
    recommender, evaluate = untrained(data), evaluator(data)
    before = torch.get_rng_state()
    trained(evaluate, recommender, loss, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_good_loss_scores_better_than_its_negative() -> None:
    data = planted_data()
    evaluate = evaluator(data, epochs=5)
    good, bad = (trained(evaluate, untrained(data), loss) for loss in (SQUARED_ERROR, REVERSED_ERROR))
    assert (good.status, bad.status) == ("trained", "trained")
    assert good.score is not None
    assert bad.score is not None
    assert good.score > 0.6 > 0.5 > bad.score


def test_a_formula_scores_like_the_hand_made_loss_that_it_is() -> None:
    assert score(SQUARED_ERROR) == pytest.approx(score(MSE()), abs=1e-3)


def test_the_score_is_the_metric_with_the_sign_of_the_mode() -> None:
    data = planted_data()
    evaluation = trained(evaluator(data, monitor="val/log_loss", mode="min"), untrained(data), BCE())
    assert evaluation.weights is not None
    child = untrained(data)
    child.load_state_dict(evaluation.weights)
    batch = data.rows["validation"]
    with torch.no_grad():
        expected = BCE().from_logit(child(batch.user, batch.item), batch.label).mean()
    assert evaluation.score == pytest.approx(-expected.item(), rel=1e-5)


def test_an_error_is_the_result_of_the_child() -> None:
    data = planted_data()
    evaluation = trained(evaluator(data), untrained(data), Raising(ValueError("boom")))
    assert isinstance(evaluation, Evaluation)
    assert (evaluation.status, evaluation.score, evaluation.weights) == ("failed", None, None)
    assert evaluation.error == "ValueError: boom"
    assert evaluation.seconds > 0


def test_an_unknown_metric_is_an_error_that_names_the_known_ones() -> None:
    data = planted_data()
    evaluation = trained(evaluator(data, monitor="val/ndcg"), untrained(data), BCE())
    assert evaluation.status == "failed"
    assert "'val/ndcg'" in evaluation.error
    assert "val/auc" in evaluation.error


def test_a_loss_that_is_not_finite_has_no_score() -> None:
    data = planted_data()
    evaluation = trained(evaluator(data), untrained(data), Infinite())
    assert (evaluation.status, evaluation.score, evaluation.error) == ("non-finite", None, "")


def test_the_clamp_of_its_nodes_keeps_a_formula_finite() -> None:
    assert math.isfinite(score(FormulaLoss("pred * 1e300 * 1e300")))


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_search() -> None:
    data = planted_data()
    with pytest.raises(KeyboardInterrupt):
        trained(evaluator(data), untrained(data), Raising(KeyboardInterrupt()))


def test_a_child_that_takes_too_long_has_failed() -> None:
    class Slow(Loss):
        def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
            time.sleep(0.05)
            return prediction - label

    data = planted_data()
    evaluation = trained(evaluator(data, epochs=100, timeout=0.3), untrained(data), Slow())
    assert (evaluation.status, evaluation.score) == ("failed", None)
    assert evaluation.error == "TimeoutError: took more than 0.3 s"
    assert evaluation.seconds < 5


def test_weights_are_kept_on_request_only() -> None:
    data = planted_data()
    (evaluation,) = evaluator(data).evaluate(untrained(data), Assignment((BCE(),), ("child",), seed=0))
    assert evaluation.status == "trained"
    assert evaluation.weights is None


def test_more_epochs_go_before_the_recipe() -> None:
    data = planted_data()
    evaluate = evaluator(data, epochs=1)
    long, short = (
        evaluate.evaluate(untrained(data), Assignment((BCE(),), ("child",), seed=0, epochs=epochs))[0]
        for epochs in (3, None)
    )
    assert long.score == trained(evaluator(data, epochs=3), untrained(data), BCE()).score
    assert long.score != short.score
