import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.reports.panels import spread
from lightning_modules.search.reports.picture import PICTURE_NAME, PictureFile, search_figure, write_picture
from lightning_modules.search.study import Study
from tests.search.observer_helpers import candidate, reference

pytestmark = pytest.mark.draws

CANDIDATES = [
    reference("BCE", 0.0),
    reference("MaxR", -0.2),
    reference("SumR", -0.2),
    candidate(round=1, formula="label - pred", reward=-0.04, position=1),
    candidate(round=1, formula="(label - pred)**2", reward=0.002, position=2),
    candidate(round=2, formula="pred", reward=-1.0, status="failed", metric=None, position=1),
    candidate(round=3, formula="label * pred", reward=0.001, position=1),
    candidate(round=3, formula="2 * (label - pred)**2 + 7", reward=0.004, position=2),
]


def study_of(root: Path, candidates: list[Candidate]) -> Study:
    ledger = Ledger(root)
    for each in candidates:
        ledger.on_candidate(each)
    ledger.on_end()
    return Study.read(root)


def line(figure: Figure, panel: int, label: str) -> tuple[list[float], list[float]]:
    (found,) = [line for line in figure.axes[panel].lines if line.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_reward_is_a_dot_with_the_best_of_the_round_and_so_far(tmp_path: Path) -> None:
    figure = search_figure(study_of(tmp_path, CANDIDATES))
    dots = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert dots[:, 1].tolist() == [each.reward for each in CANDIDATES[3:]]
    assert np.rint(dots[:, 0]).tolist() == [1, 1, 2, 3, 3]
    assert len({*dots[:, 0]}) == 5
    assert line(figure, 0, "best of the round") == ([1, 3], [0.002, 0.004])
    assert line(figure, 0, "best so far") == ([1, 2, 3], [0.002, 0.002, 0.004])


def test_the_front_is_a_line_over_the_operators_among_all_rewards(tmp_path: Path) -> None:
    figure = search_figure(study_of(tmp_path, CANDIDATES))
    dots = np.asarray(figure.axes[2].collections[0].get_offsets())
    assert {tuple(dot) for dot in dots.tolist()} == {(1, -0.04), (2, 0.002), (0, -1.0), (1, 0.001), (2, 0.004)}
    assert line(figure, 2, "best with at most so many") == ([1, 2], [0.001, 0.004])
    assert figure.axes[2].get_ylim() == figure.axes[0].get_ylim()


def test_hand_made_losses_are_lines_with_their_names(tmp_path: Path) -> None:
    figure = search_figure(study_of(tmp_path, CANDIDATES))
    heights = {np.asarray(line.get_ydata())[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"}
    assert heights == {0.0, -0.2}
    assert texts(figure) == ["below: MaxR,\nSumR", "BCE"]


def test_the_scale_is_even_and_what_is_far_worse_is_counted_at_the_edge(tmp_path: Path) -> None:
    axes = search_figure(study_of(tmp_path, CANDIDATES)).axes[0]
    assert axes.get_yscale() == "linear"
    low, high = axes.get_ylim()
    assert 0.004 < high < 0.005
    assert -0.005 < low < -0.004
    edge = np.asarray(axes.collections[1].get_offsets())
    assert np.rint(edge[:, 0]).tolist() == [1, 2]
    assert edge[:, 1].tolist() == [low, low]
    assert line(axes.figure, 0, "below the axis: 2 of 5") == ([], [])  # type: ignore[arg-type]


def bars(figure: Figure, label: str) -> tuple[list[float], list[list[float]]]:
    """Return where the error bars of a label are on the screen, and their ends in units of the axis."""
    axes = figure.axes[0]
    (found,) = [each for each in axes.containers if each.get_label() == label]
    (lines,) = found.lines[2]  # type: ignore[attr-defined]
    segments = [np.asarray(segment) for segment in lines.get_segments()]
    return [float(lines.get_transform().transform(each)[0, 0]) for each in segments], [
        each[:, 1].tolist() for each in segments
    ]


def test_the_axis_holds_the_best_of_every_round_and_all_finalists_with_their_errors(tmp_path: Path) -> None:
    rewards = {1: -0.03, 2: 0.001, 3: -0.01, 4: -0.3}
    found = [
        candidate(round=min(number, 3), formula=f"{number} * pred", reward=reward, standard_error=0.002)
        for number, reward in rewards.items()
    ]
    study_of(tmp_path, [reference("BCE", 0.0), *found])
    ledger = Ledger(tmp_path)
    ledger.on_validation(
        Validation(3, "BCE", 0.7, (ValidatedFormula("2 * pred", -0.04, 0.02), ValidatedFormula("3 * pred", 0.05, 0.03)))
    )
    ledger.close()
    figure = search_figure(Study.read(tmp_path))
    low, high = figure.axes[0].get_ylim()
    assert low < -0.04 - 0.02 < 0.05 + 0.03 < high
    assert low < min(line(figure, 0, "best of the round")[1])
    assert line(figure, 0, "below the axis: 1 of 4") == ([], [])
    own, ends = bars(figure, "best, ± standard error")
    assert ends == [pytest.approx([-0.001, 0.003])]
    validated, ends = bars(figure, "validated, trained fully")
    assert ends == [pytest.approx([-0.06, -0.02]), pytest.approx([0.02, 0.08])]
    # Neither do two bars of one formula lie on each other, nor one on the step of the best so far.
    step = figure.axes[0].transData.transform((2, 0))[0]
    assert len({step, *own, *validated}) == 4


def test_values_that_are_close_together_and_far_from_0_fill_the_axis(tmp_path: Path) -> None:
    found = [candidate(round=number, formula=f"{number} * pred", reward=0.75 + number / 1e4) for number in range(1, 4)]
    study_of(tmp_path, [reference("BCE", 0.7501), *found])
    (tmp_path / "config.yaml").write_text("search: {strategy: PPO, rounds: 3, relative: false}")
    low, high = search_figure(Study.read(tmp_path)).axes[0].get_ylim()
    assert 0.75 < low < 0.7501 < 0.7503 < high < 0.7504


def test_the_formula_is_written_out_and_drawn_from_its_least_value_up_with_the_slope_of_bce(tmp_path: Path) -> None:
    study = study_of(tmp_path, CANDIDATES)
    figure = search_figure(study)
    assert figure.get_suptitle().splitlines() == ["formula of rank 1, reward +0.0040", study.formula(1).shortest()]
    pred, value = map(np.array, line(figure, 1, "formula, label 1"))
    # The median slope of BCE is 2, that of the square of a difference 1.
    np.testing.assert_allclose(value, 2 * ((1 - pred) ** 2 - (1 - pred.max()) ** 2), rtol=0.01, atol=1e-6)
    pred, value = map(np.array, line(figure, 1, "BCE, label 0"))
    np.testing.assert_allclose(value, np.log(1 - pred.min()) - np.log(1 - pred), atol=1e-9)


def test_another_rank_is_drawn_instead_and_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    study = study_of(tmp_path, CANDIDATES)
    assert search_figure(study, rank=2).get_suptitle().endswith("reward +0.0020\n(label - pred)**2")
    with pytest.raises(ValueError, match="has no formula of rank 6: it holds 5"):
        search_figure(study, rank=6)


def test_all_of_a_long_formula_is_shown_and_nothing_lies_outside(tmp_path: Path) -> None:
    formula = " + ".join(f"log(pred * label + {number}) * (pred - label)**2" for number in range(1, 9))
    figure = search_figure(study_of(tmp_path, [candidate(formula=formula, simplified=formula)]))
    assert figure.get_suptitle().replace("\n", " ").endswith("log(pred * label + 8) * (pred - label)**2")
    figure.canvas.draw()
    box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert figure.bbox.x0 < box.x0 < box.x1 < figure.bbox.x1


@pytest.mark.parametrize("formula", ["label", "log(log(pred))", "1 / label"], ids=["flat", "not real", "pole"])
def test_any_formula_can_be_drawn(tmp_path: Path, formula: str) -> None:
    write_picture(study_of(tmp_path, [candidate(formula=formula, reward=-1.0)]), tmp_path / "any.png")
    assert imread(tmp_path / "any.png").shape == (750, 1650, 4)


def test_a_search_leaves_its_picture_unless_nothing_was_found(tmp_path: Path) -> None:
    study_of(tmp_path, CANDIDATES)
    PictureFile(tmp_path).on_end()
    assert (tmp_path / PICTURE_NAME).stat().st_size > 10_000
    study_of(tmp_path / "references", CANDIDATES[:2])
    shutil.copytree(tmp_path / "references", tmp_path / "empty", ignore=shutil.ignore_patterns("*.sqlite"))
    for name in ("references", "empty"):
        PictureFile(tmp_path / name).on_end()
        assert not (tmp_path / name / PICTURE_NAME).exists()


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.0, 0.5, 0.52, 0.54], [0.0, 0.42, 0.52, 0.62]),
        ([0.3, 0.46, 0.48], [0.3, 0.42, 0.52]),
        ([0.36, 0.46, 0.48], [1.3 / 3 - 0.1, 1.3 / 3, 1.3 / 3 + 0.1]),
    ],
)
def test_labels_move_apart_around_where_they_were(positions: list[float], expected: list[float]) -> None:
    assert spread(positions, 0.1) == pytest.approx(expected)


def test_finalists_are_drawn_where_they_ended_and_the_answer_is_named(tmp_path: Path) -> None:
    study_of(tmp_path, CANDIDATES)
    ledger = Ledger(tmp_path)
    answer = ValidatedFormula("label * pred", 0.01, 0.004, is_answer=True)
    ledger.on_validation(Validation(3, "BCE", 0.7, (answer, ValidatedFormula("label - pred", -0.03, None))))
    ledger.close()
    figure = search_figure(Study.read(tmp_path), rank=3)
    assert "the answer, formula of rank 3, reward +0.0010; validated +0.0100, standard error 0.0040" in (
        figure.get_suptitle()
    )
    drawn = [
        container for container in figure.axes[0].containers if container.get_label() == "validated, trained fully"
    ]
    assert sorted(np.asarray(drawn[0].lines[0].get_ydata())) == [-0.03, 0.01]  # type: ignore[attr-defined]
    PictureFile(tmp_path).on_end()
    assert (tmp_path / PICTURE_NAME).exists()
