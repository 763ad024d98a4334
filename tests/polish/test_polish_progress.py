"""The bar of a polish counts all stages of all seeds, and the time of those that are left."""

import pytest
from rich.console import Console

from lightning_modules.polish.progress import PolishProgress


def test_stages_take_as_long_as_those_of_their_name_did_and_known_ones_tell_nothing() -> None:
    now = [0.0]
    progress = PolishProgress(Console(quiet=True), {"base": 1.0, "fine": 0.25}, 3, clock=lambda: now[0])
    progress.on_stage_end("base")
    assert progress.time_left.seconds is None
    progress.on_stage(1, "fine")
    now[0] += 10
    progress.on_stage_end("fine")
    assert progress.time_left.seconds == pytest.approx(2 * 40 + 2 * 10)
    progress.on_stage(2, "base")
    now[0] += 30
    assert progress.time_left.seconds == pytest.approx(2 * 40 + 2 * 10 - 30)
    progress.on_stage_end("base")
    assert progress.time_left.seconds == pytest.approx(30 + 2 * 10)
    for stage in ("fine", "base", "fine"):
        progress.on_stage(2, stage)
        now[0] += 1
        progress.on_stage_end(stage)
    assert progress.time_left.seconds == 0
    (task,) = progress.tasks
    assert task.completed == task.total == 6
