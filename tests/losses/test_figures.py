import numpy as np
import pytest
from matplotlib.figure import Figure

from lightning_modules.losses import BCE, MSE, FormulaLoss, Loss
from lightning_modules.losses.figures import loss_figure

pytestmark = pytest.mark.draws


def curves(figure: Figure, axes: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the curve of each label in one half of the figure."""
    lines = [line for line in figure.axes[axes].lines if str(line.get_label()).startswith("label")]
    return {int(str(line.get_label())[-1]): (np.array(line.get_xdata()), np.array(line.get_ydata())) for line in lines}


@pytest.mark.parametrize("loss", [MSE(), FormulaLoss("(pred - label)**2")], ids=["hand-made", "formula"])
def test_curves_are_the_loss_and_its_derivative_for_both_labels(loss: Loss) -> None:
    figure = loss_figure(loss, "squared error")
    values, gradients = curves(figure, 0), curves(figure, 1)
    assert set(values) == set(gradients) == {0, 1}
    for label in (0, 1):
        pred, value = values[label]
        assert pred.min() < 0.01
        assert pred.max() > 0.99
        np.testing.assert_allclose(value, (pred - label) ** 2, atol=1e-9)
        np.testing.assert_allclose(gradients[label][1], 2 * (pred - label), atol=1e-6)


def test_a_loss_of_logits_is_drawn_over_the_probability_too() -> None:
    pred, value = curves(loss_figure(BCE(), "cross entropy"), 0)[1]
    np.testing.assert_allclose(value, -np.log(pred), rtol=1e-9)
    pred, gradient = curves(loss_figure(BCE(), "cross entropy"), 1)[0]
    np.testing.assert_allclose(gradient, 1 / (1 - pred), rtol=1e-6)


def test_the_usual_loss_is_drawn_beside_another_one_but_not_beside_itself() -> None:
    figure = loss_figure(MSE(), "squared error")
    (line,) = [each for each in figure.axes[0].lines if each.get_label() == "BCE, label 1"]
    np.testing.assert_allclose(line.get_ydata(), -np.log(line.get_xdata()), rtol=1e-9)
    assert [text.get_text() for text in loss_figure(BCE(), "BCE").legends[0].get_texts()] == ["label 0", "label 1"]


def test_a_pole_leaves_the_picture_and_what_is_near_zero_fills_it() -> None:
    low, high = loss_figure(FormulaLoss("label / pred + 1 / (1 - pred)"), "poles").axes[0].get_ylim()
    assert -3 < low < 1
    assert 5 < high < 60


def test_a_loss_without_pred_is_flat() -> None:
    for pred_and_gradient in curves(loss_figure(FormulaLoss("label"), "label"), 1).values():
        assert (pred_and_gradient[1] == 0).all()


def test_long_titles_are_cut_and_mathtext_is_no_trouble() -> None:
    long = loss_figure(MSE(), "log(" * 100)
    lines = long.get_suptitle().split("\n")
    assert len(lines) == 4
    long.canvas.draw()
    box = long._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert long.bbox.x0 < box.x0 < box.x1 < long.bbox.x1
    assert long.axes[0].bbox.y1 < box.y0
    assert lines[-1].endswith("...")
    short = loss_figure(MSE(), "(pred - label)**2")
    assert short.get_suptitle() == "(pred - label)**2"
    short.canvas.draw()
