import numpy as np
import pytest
import torch
from scipy.special import expit

from lightning_modules.losses import MSE
from lightning_modules.losses.inverse_propensity import InversePropensity


def funnel(n: int = 200, tasks: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logit = 2 * torch.randn(n, tasks, generator=generator, dtype=torch.double)
    label = (torch.rand(n, tasks, generator=generator) < torch.sigmoid(logit)).double().cumprod(1)
    return logit, label


def by_numpy(logit: torch.Tensor, label: torch.Tensor, max_weight: float) -> np.ndarray:
    p, y = expit(logit.numpy()), label.numpy()
    terms = np.zeros_like(p)
    for k in range(1, p.shape[1]):
        inverse = np.minimum(1 / np.prod(p[:, :k], axis=1), max_weight)
        cross_entropy = -np.where(y[:, k] == 1, np.log(p[:, k]), np.log(1 - p[:, k]))
        terms[:, k] = y[:, k - 1] * inverse * cross_entropy
    return terms


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("max_weight", [1.0, 3.0, 1e9])
def test_terms_equal_the_formula(tasks: int, max_weight: float) -> None:
    logit, label = funnel(tasks=tasks)
    terms = InversePropensity(weight=0.5, max_weight=max_weight)(logit, label)
    np.testing.assert_allclose(terms, 0.5 * by_numpy(logit, label, max_weight), rtol=1e-9, atol=1e-12)


def test_no_gradient_flows_into_the_propensity() -> None:
    logit, label = funnel(tasks=2)
    logit.requires_grad_()
    InversePropensity()(logit, label).sum().backward()
    assert (logit.grad[:, 0] == 0).all()
    assert (logit.grad[label[:, 0] == 1, 1] != 0).all()
    assert (logit.grad[label[:, 0] == 0, 1] == 0).all()


def test_the_mean_term_estimates_the_loss_over_all_rows_as_if_all_had_been_clicked() -> None:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(200_000, 2, generator=generator)
    logit[:, 1] += logit[:, 0]  # who clicks more also buys more, so that clicks alone mislead
    click, conversion = (torch.rand(200_000, 2, generator=generator) < torch.sigmoid(logit)).float().unbind(1)
    logit[:, 1] = 1.0
    loss = InversePropensity(max_weight=1e6)
    of_all = loss.loss.from_logit(logit[:, 1], conversion)
    estimate = loss(logit, torch.stack([click, click * conversion], dim=1))[:, 1]
    error = float(estimate.std()) / 200_000**0.5
    assert float(estimate.mean()) == pytest.approx(float(of_all.mean()), abs=4 * error)
    assert abs(float(of_all[click == 1].mean() - of_all.mean())) > 20 * error


def test_extreme_logits_stay_finite() -> None:
    logit = torch.tensor([[-500.0, 500.0], [500.0, -500.0]], requires_grad=True)
    terms = InversePropensity()(logit, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert terms.tolist() == [[0.0, 20 * 500.0], [0.0, 500.0]]
    terms.sum().backward()
    assert torch.isfinite(logit.grad).all()


def test_another_loss_of_the_conversion() -> None:
    logit, label = funnel(tasks=2)
    loss = InversePropensity(max_weight=1.0, loss=MSE())
    clicked, conversion = label.unbind(1)
    expected = clicked * (torch.sigmoid(logit[:, 1]) - conversion) ** 2
    torch.testing.assert_close(loss(logit, label)[:, 1], expected)


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"max_weight": 0.5}, {"weight": float("nan")}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        InversePropensity(**options)
