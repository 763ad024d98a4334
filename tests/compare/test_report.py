import io
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread
from rich.console import Console

from lightning_modules.compare.audit import Audit, AuditResult
from lightning_modules.compare.compared_losses import GIVEN, SEARCH
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.tables import header, numbers
from lightning_modules.statistics.significance import Difference
from lightning_modules.training.statuses import DIVERGED, TRAINED
from tests.compare.compare_helpers import NAN, compared, loss_result, runs_of, table_rows

pytestmark = pytest.mark.draws

BASELINE = loss_result(compared("BCE"))
SEARCHED = loss_result(
    compared("(label - pred)**2", "PPO #1", SEARCH),
    difference=Difference(0.0123, 0.001, 0.0236, 0.006, 0.021),
    p_value=0.042,
)
AWKWARD = loss_result(
    compared("pred**2 + label**2", "a | b, `c` and pred**2 + label**2", GIVEN),
    difference=Difference(0.5, 0.4, 0.6, 0.05, 0.001),
    p_value=0.002,
)
DEAD = loss_result(
    compared("log(pred)", "log(pred)", GIVEN), runs_of([0.7, NAN], [TRAINED, DIVERGED]), standard_error=NAN
)
AUDIT = Audit(SEARCHED, (AuditResult("BCE", SEARCHED.difference, 0.042, 0.05),), 3, 40)
ALL = [BASELINE, SEARCHED, DEAD, AWKWARD]


def report(audit: Audit | None = AUDIT, remarks: tuple[str, ...] = ("mind the gap", "and a*b*c")) -> ComparisonReport:
    return ComparisonReport(ALL, audit, remarks, "BiasedMF on data")


def test_the_page_has_one_row_a_loss_and_the_same_cells_in_each() -> None:
    rows = table_rows(report().markdown())
    assert rows[0] == header(ALL)
    assert [len(row) for row in rows] == [len(rows[0])] * (2 + len(ALL))
    assert [row[0] for row in rows[2:5]] == ["BCE", "PPO #1", "log(pred)"]
    assert rows[4][1] == "diverged"


def test_the_page_has_the_audit_the_remarks_and_the_formulas() -> None:
    page = report().markdown()
    assert page.startswith("# Comparison of losses\n\nBiasedMF on data\n\n")
    assert "On held-out data the search beat BCE: " in page
    assert "## Mind\n\n- mind the gap\n- and a\\*b\\*c\n" in page
    assert "- PPO #1: `(label - pred)**2`" in page
    assert "- log(pred): " not in page


def test_what_there_is_not_has_no_heading() -> None:
    page = ComparisonReport([BASELINE, DEAD], None, (), "BiasedMF on data").markdown()
    assert "## Mind" not in page
    assert "## Formulas" not in page
    assert "On held-out data" not in page


def test_the_csv_is_the_results_bit_for_bit(tmp_path: Path) -> None:
    report().write(tmp_path)
    expected = numbers(ALL)
    # Python's own reading of floats is exact in every version of pandas.
    written = pd.read_csv(tmp_path / "summary.csv", dtype="str").astype(expected.dtypes)
    pd.testing.assert_frame_equal(written, expected, check_exact=True)


def test_the_files_are_there_and_nothing_else(tmp_path: Path) -> None:
    report().write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["intervals.png", "summary.csv", "summary.md"]
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == report().markdown()


def test_the_picture_is_a_png_that_grows_with_the_losses(tmp_path: Path) -> None:
    sizes = []
    for losses in (ALL[:2], ALL):
        ComparisonReport(losses, None, (), "").write(tmp_path)
        picture = imread(tmp_path / "intervals.png")
        sizes.append(picture.shape[:2])
        assert float(picture.min()) < 0.2
    assert (tmp_path / "intervals.png").read_bytes().startswith(b"\x89PNG")
    assert all(500 < width < 2000 and 200 < height < 2000 for height, width in sizes)
    assert sizes[0][0] < sizes[1][0]


def test_the_picture_has_the_best_first_and_what_diverged_last() -> None:
    texts = [text.get_text() for text in report().figure().axes[0].texts]
    places = [next(place for place, text in enumerate(texts) if name in text) for name in ("a | b", "PPO", "diverged")]
    assert places == sorted(places)


def test_the_picture_says_what_zero_is() -> None:
    figure = report().figure()
    assert any(text.get_text() == "BCE" for text in figure.axes[0].texts)
    assert "BCE" in figure.get_suptitle()


def printed(each: ComparisonReport, width: int = 100, *, terminal: bool = True) -> str:
    output = io.StringIO()
    each.print(Console(file=output, width=width, force_terminal=terminal, color_system=None), Path("runs/compare"))
    return output.getvalue()


def test_the_terminal_shows_every_loss_the_remarks_and_the_audit() -> None:
    text = printed(report())
    for shown in ("BCE", "PPO #1", "diverged", "+0.0123", "- mind the gap", "beat BCE", "tensorboard --logdir"):
        assert shown in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "Losses in full" not in text


def test_a_loss_is_a_line_that_a_terminal_shortens_and_a_file_does_not() -> None:
    long = " + ".join(["pred"] * 40)
    each = ComparisonReport([BASELINE, loss_result(compared(long, long, GIVEN))], None, (), "")
    (line,) = [line for line in printed(each, width=80).splitlines() if "pred + " in line]
    assert line.endswith("...")
    assert len(line) == 80
    assert "Losses in full: runs/compare/summary.csv" in printed(each, width=80)
    (line,) = [line for line in printed(each, width=80, terminal=False).splitlines() if "pred + " in line]
    assert line.endswith(f"  {long}")


def test_the_terminal_takes_brackets_for_text() -> None:
    marked = loss_result(compared("pred - label", "[bold]x[/nonsense]", GIVEN))
    assert "[/nonsense]" in printed(ComparisonReport([BASELINE, marked], None, ("[red]",), ""), width=200)
