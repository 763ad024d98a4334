"""Losses of scores are drawn over the gap of one negative."""

import numpy as np
import pytest

from lightning_modules.losses import DirectAU, ListwiseLoss, RankingFormulaLoss, SampledSoftmax, SLatK
from lightning_modules.losses.figures import loss_figure
from lightning_modules.losses.score_curves import score_curve

pytestmark = pytest.mark.draws


@pytest.mark.parametrize("negatives", [1, 8, 64])
def test_the_other_negatives_stay(negatives: int) -> None:
    curve = score_curve(SampledSoftmax(0.5), negatives)
    others = np.linspace(-1, 0, negatives - 1) if negatives > 2 else np.full(negatives - 1, -1.0)
    gap = np.array(curve.at)
    total = np.exp(gap / 0.5) + np.exp(others / 0.5).sum()
    np.testing.assert_allclose(curve.value, np.log(total))
    np.testing.assert_allclose(curve.gradient, np.exp(gap / 0.5) / total / 0.5)


@pytest.mark.parametrize("loss", [SLatK(), DirectAU(), RankingFormulaLoss("beta * hard(gap) / log_popularity")])
def test_what_a_batch_tells_is_that_of_a_single_user(loss: ListwiseLoss) -> None:
    curve = score_curve(loss, 8)
    assert np.isfinite([curve.value, curve.gradient]).all()


def test_a_figure_has_a_line_for_every_number_of_negatives() -> None:
    figure = loss_figure(RankingFormulaLoss("softplus(gap_t)"), "a title")
    lines = [line for line in figure.axes[0].lines if "negative" in str(line.get_label())]
    own = ["1 negative", "8 negatives", "64 negatives"]
    assert [line.get_label() for line in lines] == [*own, *(f"SampledSoftmax, {each}" for each in own)]
    assert figure.axes[1].get_xlabel().startswith("gap of one negative")
    figure.canvas.draw()
