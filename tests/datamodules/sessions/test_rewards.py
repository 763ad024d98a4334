import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from datamodules import reward_function


def probabilities(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(50, 3, generator=generator), torch.randint(2, (50, 3), generator=generator).float()


def test_log_loss_is_negative_binary_cross_entropy() -> None:
    action, label = probabilities()
    expected = -binary_cross_entropy(action, label, reduction="none")
    torch.testing.assert_close(reward_function("log_loss")(action, label), expected)


def test_log_loss_is_clipped_at_both_ends() -> None:
    action = torch.tensor([0.0, 0.0, 1.0, 1.0, 5e-5])
    label = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0])
    good, bad = math.log1p(-1e-4), math.log(1e-4)
    expected = torch.tensor([good, bad, bad, good, bad])
    torch.testing.assert_close(reward_function("log_loss")(action, label), expected, rtol=1e-3, atol=1e-7)


def test_absolute_error_is_the_negative_distance() -> None:
    action, label = probabilities()
    torch.testing.assert_close(reward_function("absolute_error")(action, label), -((action - label) ** 2).sqrt())


@pytest.mark.parametrize("name", ["log_loss", "absolute_error"])
def test_rewards_are_never_positive_and_greatest_at_the_label(name: str) -> None:
    action, label = probabilities()
    reward = reward_function(name)(action, label)
    assert (reward < 0).all()
    assert (reward <= reward_function(name)(label, label)).all()


def test_unknown_reward() -> None:
    with pytest.raises(ValueError, match="no reward 'mse'; choose log_loss or absolute_error"):
        reward_function("mse")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_log_loss_is_finite_in_half_precision(dtype: torch.dtype) -> None:
    action = torch.tensor([0.0, 0.0, 0.999, 0.999, 1.0, 1.0], dtype=dtype)
    reward = reward_function("log_loss")(action, torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], dtype=dtype))
    assert reward.dtype == torch.float32
    assert (reward >= math.log(1e-4) - 1e-3).all()
    assert (reward < 0).all()
