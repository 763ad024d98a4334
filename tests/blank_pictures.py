"""Pictures and reports that are written blank; as a module it is a fork server whose commands write such."""

import sys
from pathlib import Path

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from lightning_modules.core.run_config import REPORT_NAME
from lightning_modules.losses import LossObject
from lightning_modules.losses.figures import loss_figure
from lightning_modules.report import after_runs

_CURVES_OF_SEARCHES = "lightning_modules.search.reports.tensorboard"
_DRAW = Figure.draw
_WRITE = after_runs._write


def leave_pictures_blank(blank: bool) -> None:
    """Draw nothing where figures are written, no curves for TensorBoard, and leave reports empty; or do so again.

    A small search spends more time on its figures and its report than on training.
    """
    Figure.draw = _draw_nothing if blank else _DRAW  # type: ignore[method-assign]
    after_runs._write = _write_nothing if blank else _WRITE
    # Importing it takes as long as importing everything, which only searches need.
    if _CURVES_OF_SEARCHES in sys.modules:
        sys.modules[_CURVES_OF_SEARCHES].loss_figure = _no_curves if blank else loss_figure  # type: ignore[attr-defined]


def _draw_nothing(figure: Figure, renderer: RendererBase) -> None:
    pass


def _no_curves(loss: LossObject, title: str) -> Figure:
    return Figure(figsize=(1, 1))


def _write_nothing(root: Path) -> None:
    (root / REPORT_NAME).touch()


if __name__ == "__main__":
    from benchmarks.common.fork_server import serve

    leave_pictures_blank(True)
    serve()
