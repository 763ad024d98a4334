"""Long work says how far it is; quick work, workers and other ranks say nothing."""

import io
import threading
import time

import pytest
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from lightning_modules.utilities import progress
from lightning_modules.utilities.progress import Bars, counted, working
from lightning_modules.utilities.time_left import TimeLeft


class Terminal(io.StringIO):
    """What a terminal was told."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.01)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.01)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if getattr(thread, "_target", None) is progress._watch]


def slowly(count: int) -> list[int]:
    done = []
    for each in counted(range(count), "checking"):
        time.sleep(0.05)
        done.append(each)
    return done


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with working("reading"):
        time.sleep(0.01)
    assert capsys.readouterr() == ("", "")
    assert not watchers()


@pytest.mark.usefixtures("_at_once")
def test_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert slowly(4) == [0, 1, 2, 3]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "checking: 0 of 4 done, 0 s so far"
    assert any(line.startswith("checking: 3 of 4 done") for line in lines)


@pytest.mark.usefixtures("_at_once")
def test_time_alone_where_nobody_knows_how_much_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with working("reading [shop].csv"):
        time.sleep(0.05)
    assert capsys.readouterr().err.startswith("reading [shop].csv: 0 s so far\n")


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("total", [None, 7])
def test_a_display_on_a_terminal_that_goes_away(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with working("reading", total) as work:
        work.done = 3
        time.sleep(0.3)
    assert "reading" in terminal.getvalue()
    assert ("3/7" in terminal.getvalue()) == (total is not None)
    assert "\x1b[2K" in terminal.getvalue().rpartition("reading")[2]


@pytest.mark.usefixtures("_at_once")
def test_other_ranks_say_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    slowly(2)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("_at_once")
def test_an_error_ends_the_display() -> None:
    with pytest.raises(ZeroDivisionError), working("dividing"):
        raise ZeroDivisionError
    assert not watchers()


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_bars_say_a_line_now_and_then_without_a_terminal(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", seconds)
    file = io.StringIO()
    clock = iter([0.0, 35.0, 35.0]).__next__
    bars = Bars(Console(file=file, width=80), TimeLeft(clock))
    task = bars.add_bar("trainings", 5)
    bars.time_left.plan("trainings", 3)
    bars.time_left.done("trainings")
    bars.update(task, advance=2, note="BCE: seed 42")
    assert file.getvalue() == ("" if seconds else "trainings: 2 of 5 done, about 1m10s left in all, BCE: seed 42\n")


def test_lines_come_while_one_part_takes_long_and_end_with_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.05)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.01)
    file = io.StringIO()
    with Bars(Console(file=file, width=80), TimeLeft()) as bars:
        bars.add_bar("baseline", 4)
        bars.add_bar("candidates", 9)
        time.sleep(0.5)
    lines = file.getvalue().splitlines()
    assert len(lines) > 1
    assert set(lines) == {"baseline: 0 of 4 done"}
    time.sleep(0.2)
    assert file.getvalue().splitlines() == lines


def test_without_a_terminal_there_are_no_bars() -> None:
    file = io.StringIO()
    with Bars(Console(file=file, width=80), TimeLeft()) as bars:
        bars.update(bars.add_bar("trainings", 5), advance=5)
    assert file.getvalue() == ""


def test_the_bar_that_grows_has_the_time_left_of_all_work() -> None:
    terminal = Terminal()
    clock = iter([0.0, 35.0, *[35.0] * 100]).__next__
    with Bars(Console(file=terminal, width=120, force_terminal=True), TimeLeft(clock)) as bars:
        first, second = bars.add_bar("rounds", 5), bars.add_bar("finalists", 4)
        bars.time_left.plan("finalists", 3)
        bars.time_left.done("finalists")
        bars.update(first, completed=5)
        bars.update(second, advance=1)
    last = terminal.getvalue().rpartition("rounds")[2]
    assert last.count("about 1m10s left in all") == 1
    assert last.index("finalists") < last.index("about 1m10s left in all")


def test_bars_say_no_lines_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    terminal = Terminal()
    bars = Bars(Console(file=terminal), TimeLeft())
    bars.update(bars.add_bar("trainings", 5), advance=2)
    assert terminal.getvalue() == ""
