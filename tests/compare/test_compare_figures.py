import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from lightning_modules.compare.figures import differences_figure
from lightning_modules.statistics.interval_figure import PlottedDifference

pytestmark = pytest.mark.draws

LONG = "max(label, pred) * log(min(pred, label) + 1) + reciprocal(square(pred - label) + 1) * (1 - label) - pred"
ROWS = [
    PlottedDifference(LONG, 0.012, 0.008, 0.016, "search"),
    PlottedDifference("MSE", -0.002, -0.006, 0.002, "hand-made"),
    PlottedDifference("log(pred)", math.nan, math.nan, math.nan, "search"),
    PlottedDifference("$pred$ - label", 0.001, -0.003, 0.005, "search"),
]


def drawn(rows: list[PlottedDifference] = ROWS, baseline: str = "BCE") -> Figure:
    figure = differences_figure(rows, "AUC", baseline, "95 % intervals over 3 seeds and 500 test rows")
    FigureCanvasAgg(figure).draw()
    return figure


def xs(line: Line2D) -> list[float]:
    return np.asarray(line.get_xdata()).tolist()


def ys(line: Line2D) -> list[float]:
    return np.asarray(line.get_ydata()).tolist()


def intervals(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if len(xs(line)) == 2 and len(set(ys(line))) == 1]


def texts(figure: Figure) -> dict[str, Text]:
    return {text.get_text(): text for text in figure.axes[0].texts}


def test_intervals_are_drawn_in_order_from_the_top() -> None:
    figure = drawn()
    lines = intervals(figure)
    assert [xs(line) for line in lines] == [[0.008, 0.016], [-0.006, 0.002], [-0.003, 0.005]]
    assert [ys(line)[0] for line in lines] == [0, 1, 3]
    assert figure.axes[0].yaxis_inverted()
    points = [xs(line)[0] for line in figure.axes[0].lines if len(xs(line)) == 1]
    assert points == [0.012, -0.002, 0.001]


def test_colour_tells_the_group() -> None:
    figure = drawn()
    (legend,) = figure.legends
    handles = [handle for handle in legend.legend_handles if isinstance(handle, Line2D)]
    names = [text.get_text() for text in legend.get_texts()]
    named = {name: handle.get_color() for name, handle in zip(names, handles, strict=True)}
    assert list(named) == ["search", "hand-made"]
    assert named["search"] != named["hand-made"]
    assert [line.get_color() for line in intervals(figure)] == [
        named[group] for group in ("search", "hand-made", "search")
    ]


def test_a_group_has_the_same_colour_whichever_loss_is_best() -> None:
    assert [line.get_color() for line in intervals(drawn(ROWS[:2]))] == [
        line.get_color() for line in intervals(drawn(ROWS[1::-1]))
    ][::-1]


def test_a_loss_without_estimate_is_named_as_diverged() -> None:
    assert "log(pred): diverged" in texts(drawn())
    assert intervals(drawn(ROWS[2:3])) == []


@pytest.mark.parametrize("shift", [-0.05, 0.0, 0.05])
def test_every_word_is_inside_the_picture_and_clear_of_the_others(shift: float) -> None:
    rows = [
        PlottedDifference(row.name, row.estimate + shift, row.low + shift, row.high + shift, row.group) for row in ROWS
    ]
    figure = drawn(rows, baseline="square(pred - label) + log(pred + label)")
    boxes = [text.get_window_extent() for text in (*figure.axes[0].texts, *figure.legends[0].get_texts())]
    boxes.append(figure.axes[0].xaxis.label.get_window_extent())
    for place, box in enumerate(boxes):
        assert box.x0 >= figure.bbox.x0
        assert box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_the_line_at_zero_has_the_name_of_the_baseline_above() -> None:
    figure = drawn()
    label = texts(figure)["BCE"]
    line = next(line for line in figure.axes[0].lines if xs(line) == [0, 0])
    assert label.get_position()[0] == xs(line)[0]
    assert label.get_window_extent().y0 >= figure.axes[0].bbox.y1


def test_the_axis_says_what_is_measured_and_what_the_intervals_are() -> None:
    label = drawn().axes[0].get_xlabel()
    assert label == "test AUC less that of BCE\n95 % intervals over 3 seeds and 500 test rows"


def test_long_names_are_cut_and_dollars_are_no_mathtext() -> None:
    names = list(texts(drawn()))
    (cut,) = [name for name in names if name.startswith("max(")]
    assert cut.endswith(" ...")
    assert LONG.startswith(cut.removesuffix(" ..."))
    assert "$pred$ - label" in names


def test_nothing_to_compare_is_an_empty_picture() -> None:
    figure = drawn([])
    assert intervals(figure) == []
    assert figure.legends == []
