import math
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.batches import ImpressionBatch
from lightning_modules.losses import MSE
from lightning_modules.multitask import MetaHeac, UncertaintyWeighting
from lightning_modules.multitask.metaheac import mixture_logits
from tests.multitask.multitask_helpers import build, planted

RATE = 0.3
NAMES = {
    "a": "embedding.numerical.weight",
    "b": "embedding.numerical.bias",
    "c": "experts.layers.0.weight",
    "d": "experts.layers.0.bias",
    "e": "critics.layers.0.weight",
    "f": "critics.layers.0.bias",
}
START = {"a": 0.5, "b": 1.2, "c": 0.8, "d": 0.4, "e": -0.7, "f": 0.9}
FEATURE, LABEL = [0.3, -0.2, 1.1, 0.6], [1.0, 0.0, 0.0, 1.0]


def linear_case() -> tuple[Any, ImpressionBatch]:
    """Return ``z = e (c (a v + b) + d) + f``: one expert, one critic, everything below the ReLU positive."""
    options = {"embedding_dim": 1, "bottom_dims": (1,), "tower_dims": (), "dropout": 0.0, "batch_norm": False}
    model = MetaHeac([], 1, ["click"], num_experts=1, num_critics=1, local_learning_rate=RATE, **options).double()
    with torch.no_grad():
        for short, name in NAMES.items():
            model.get_parameter(name).fill_(START[short])
    feature, label = torch.tensor(FEATURE, dtype=torch.float64), torch.tensor(LABEL, dtype=torch.float64)
    number = torch.arange(4)
    return model, ImpressionBatch(number.new_empty(4, 0), feature[:, None], label[:, None], number, number, number)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def logit(p: dict[str, float], feature: float) -> float:
    return p["e"] * (p["c"] * (p["a"] * feature + p["b"]) + p["d"]) + p["f"]


def stepped(p: dict[str, float]) -> dict[str, float]:
    """Return the parameters after one step on the first two rows, with the derivatives of cross-entropy by hand."""
    gradient = dict.fromkeys(p, 0.0)
    for feature, label in zip(FEATURE[:2], LABEL[:2], strict=True):
        residual = (sigmoid(logit(p, feature)) - label) / 2
        embedded = p["a"] * feature + p["b"]
        gradient["f"] += residual
        gradient["e"] += residual * (p["c"] * embedded + p["d"])
        gradient["d"] += residual * p["e"]
        gradient["c"] += residual * p["e"] * embedded
        gradient["b"] += residual * p["e"] * p["c"]
        gradient["a"] += residual * p["e"] * p["c"] * feature
    return {name: p[name] - RATE * gradient[name] for name in p}


def query_loss(p: dict[str, float]) -> float:
    after = stepped(p)
    probability = [sigmoid(logit(after, feature)) for feature in FEATURE[2:]]
    return -sum(math.log(q if label else 1 - q) for q, label in zip(probability, LABEL[2:], strict=True)) / 2


def test_the_step_on_the_support_set_is_the_hand_computed_one() -> None:
    model, batch = linear_case()
    adapted = model.adapted_parameters(ImpressionBatch(*(column[:2] for column in batch)))
    expected = stepped(START)
    assert {short: float(adapted[name].detach()) for short, name in NAMES.items()} == pytest.approx(expected, rel=1e-12)


def test_the_gradient_goes_through_the_step() -> None:
    model, batch = linear_case()
    (loss,) = model.mean_task_losses(batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(query_loss(START), rel=1e-12)
    for short, name in NAMES.items():
        above, below = ({**START, short: START[short] + sign * 1e-5} for sign in (1, -1))
        expected = (query_loss(above) - query_loss(below)) / 2e-5
        assert float(model.get_parameter(name).grad) == pytest.approx(expected, rel=1e-6)


def test_the_parameters_themselves_stay_until_the_optimizer_moves_them() -> None:
    model = build(MetaHeac, local_learning_rate=0.5)
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.mean_task_losses(planted())
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())


def test_running_statistics_are_those_of_the_support_set() -> None:
    model, batch = build(MetaHeac, dropout=0.0), planted(32)
    other = build(MetaHeac, dropout=0.0)
    other.load_state_dict(model.state_dict())
    model.mean_task_losses(batch)
    other(batch.categorical[:16], batch.numerical[:16])
    for name, buffer in other.named_buffers():
        torch.testing.assert_close(model.get_buffer(name), buffer)
    assert int(model.experts.norms[0].num_batches_tracked) == 1


def test_a_batch_of_one_row_is_trained_on_as_it_is() -> None:
    model, batch = build(MetaHeac, dropout=0.0), planted(1)
    torch.testing.assert_close(model.mean_task_losses(batch), model.task_losses(batch)[0])


def test_a_weighting_that_learns_and_any_loss_fit_the_step() -> None:
    model = build(MetaHeac, weighting=UncertaintyWeighting(), loss=MSE())
    model.weighting(model.mean_task_losses(planted())).backward()
    assert (model.weighting.log_variance.grad != 0).all()


def mixed(weights: Tensor, logits: Tensor) -> Tensor:
    return (weights * torch.sigmoid(logits)).sum(dim=-1)


def test_probabilities_are_mixed_and_reach_one() -> None:
    torch.manual_seed(0)
    weights = torch.softmax(torch.randn(6, 2, 3, dtype=torch.float64), dim=-1)
    logits = torch.randn(6, 2, 3, dtype=torch.float64) * 3
    torch.testing.assert_close(torch.sigmoid(mixture_logits(weights.log(), logits)), mixed(weights, logits))
    sure = mixture_logits(weights.log(), torch.full_like(logits, 60.0))
    torch.testing.assert_close(sure, torch.full_like(sure, 60.0))


def test_the_model_is_its_formula() -> None:
    model, batch = build(MetaHeac).double().eval(), planted(8)
    numerical = batch.numerical.double()
    vectors = model.embedding(batch.categorical, numerical)
    experts = model.experts(vectors.flatten(1))
    for k in range(2):
        read = torch.cat([model.task_embedding.weight[k].expand(8, -1), vectors.mean(dim=1)], dim=1)
        gate = torch.softmax(model.expert_gates.linear(read), dim=1)
        features = sum(gate[:, e, None] * experts[:, e] for e in range(2))
        critic_gate = torch.softmax(model.critic_gates.linear(read), dim=1)
        expected = mixed(critic_gate, model.critics(features).squeeze(-1))
        torch.testing.assert_close(torch.sigmoid(model(batch.categorical, numerical)[:, k]), expected)
