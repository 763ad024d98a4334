import numpy as np
import pytest
import torch

from lightning_modules.check.curves import curves_over_logit, curves_over_pred, pred_grid, values
from lightning_modules.losses import BCE, MSE, FormulaLoss, Loss


@pytest.mark.parametrize(
    ("loss", "value", "slope"),
    [
        (BCE(), lambda p: (-np.log1p(-p), -np.log(p)), lambda p: (1 / (1 - p), -1 / p)),
        (MSE(), lambda p: (p**2, (1 - p) ** 2), lambda p: (2 * p, -2 * (1 - p))),
        (FormulaLoss("(pred - label)**2"), lambda p: (p**2, (1 - p) ** 2), lambda p: (2 * p, -2 * (1 - p))),
    ],
    ids=["logit", "probability", "formula"],
)
def test_curves_are_the_loss_and_its_derivatives(loss: Loss, value, slope) -> None:
    pred = pred_grid(50)
    curves = curves_over_pred(loss, pred)
    p = pred.numpy()
    np.testing.assert_allclose(curves.value, value(p), rtol=1e-8)
    np.testing.assert_allclose(curves.by_pred, slope(p), rtol=1e-8)
    np.testing.assert_allclose(curves.by_logit, np.array(slope(p)) * p * (1 - p), rtol=1e-8)
    assert curves.is_finite
    torch.testing.assert_close(values(loss, pred), curves.value)


def test_values_at_points_of_any_shape() -> None:
    pred = pred_grid(6)[:10].reshape(2, 5)
    assert values(MSE(), pred).shape == (2, 2, 5)
    torch.testing.assert_close(values(MSE(), pred)[1], (1 - pred) ** 2)


def test_logits_keep_their_precision_and_reach_the_ends() -> None:
    curves = curves_over_logit(FormulaLoss("log(pred)"), torch.tensor([-100.0, 100.0]))
    assert curves.value.dtype == torch.float32
    # sign(0) = 0 in the protected logarithm, and log(1 + 1e-6) in single precision at 1.
    assert curves.value[0].tolist() == pytest.approx([0, 1e-6], abs=1e-7)


def test_the_grid_rises_from_end_to_end_and_is_dense_everywhere() -> None:
    grid = pred_grid(101)
    assert grid[0] == 1e-6
    assert grid[-1] == 1 - 1e-6
    assert (grid.diff() > 0).all()
    assert grid.diff().max() <= 0.01
    assert torch.logit(grid).diff().max() <= 2 * np.log(1e6) / 99
