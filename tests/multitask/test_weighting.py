import math

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from scipy.special import softmax
from torch import nn

from lightning_modules.multitask.weighting import (
    ConstantWeights,
    DynamicWeightAveraging,
    TaskWeighting,
    UncertaintyWeighting,
)


def ready(weighting: TaskWeighting, num_tasks: int = 2) -> TaskWeighting:
    weighting.setup(num_tasks)
    return weighting


LOSSES = torch.tensor([0.5, 2.0])


def test_constant_weights_are_the_mean_or_a_weighted_one() -> None:
    assert float(ready(ConstantWeights())(LOSSES)) == 1.25
    assert float(ready(ConstantWeights([3.0, 0.5]))(LOSSES)) == 1.25
    assert not ready(ConstantWeights([3.0, 0.5])).state_dict()


def test_a_number_of_weights_that_is_not_that_of_the_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="2 task weights and 3 tasks"):
        ConstantWeights([1.0, 2.0]).setup(3)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [1.0, math.nan]])
def test_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        ConstantWeights(weights)


def test_uncertainty_begins_as_the_mean_and_ends_at_the_logarithm_of_twice_the_losses() -> None:
    weighting = ready(UncertaintyWeighting())
    assert weighting(LOSSES).item() == 1.25
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        weighting(LOSSES).backward()
        optimizer.step()
    (log_variance,) = weighting.parameters()
    # Where the derivative 1/2 - exp(-s) * loss is 0.
    torch.testing.assert_close(log_variance.detach(), torch.log(2 * LOSSES), atol=1e-3, rtol=0)


def test_dynamic_weights_equal_the_papers_formula() -> None:
    weighting = ready(DynamicWeightAveraging(temperature=0.7), 3)
    epochs = np.array([[1.0, 2.0, 0.5], [0.9, 1.2, 0.5], [0.6, 1.1, 0.6]])
    for t, losses in enumerate(epochs):
        task_losses = torch.tensor([1.0, 10.0, 100.0])
        weights = 3 * softmax(epochs[t - 1] / epochs[t - 2] / 0.7) if t >= 2 else np.ones(3)
        assert float(weighting(task_losses)) == pytest.approx((weights * task_losses.numpy()).mean(), rel=1e-6)
        weighting.on_epoch_end(torch.tensor(losses, dtype=torch.float))
    assert weighting.weights.argmax() == 2  # its loss alone rose


def test_dynamic_weights_go_on_after_a_checkpoint() -> None:
    weighting, resumed = ready(DynamicWeightAveraging()), ready(DynamicWeightAveraging())
    weighting.on_epoch_end(torch.tensor([1.0, 1.0]))
    resumed.load_state_dict(weighting.state_dict())
    for each in (weighting, resumed):
        each.on_epoch_end(torch.tensor([0.5, 0.9]))
    assert float(resumed(LOSSES)) == float(weighting(LOSSES)) > 1.25


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_losses_without_a_ratio_set_the_weights_to_one(bad: float) -> None:
    weighting = ready(DynamicWeightAveraging())
    for losses in ([1.0, 1.0], [0.5, 0.9], [0.4, bad]):
        weighting.on_epoch_end(torch.tensor(losses))
    assert float(weighting(LOSSES)) == 1.25


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        DynamicWeightAveraging(0.0)


@pytest.mark.parametrize(
    "weighting", [ConstantWeights([1.0, 2.0]), ConstantWeights(), UncertaintyWeighting(), DynamicWeightAveraging(3.0)]
)
def test_a_weighting_is_built_again_from_plain_values(weighting: TaskWeighting) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--weighting", type=TaskWeighting)
    rebuilt = parser.instantiate(parser.parse_object({"weighting": weighting.spec()})).weighting
    assert type(rebuilt) is type(weighting)
    assert rebuilt.spec() == weighting.spec()


def test_log_variances_are_among_the_parameters_of_the_model_that_holds_them() -> None:
    model = nn.Module()
    model.weighting = ready(UncertaintyWeighting(), 4)
    assert [parameter.numel() for parameter in model.parameters()] == [4]
