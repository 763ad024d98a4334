"""Pictures and reports that are written blank; as a module it is a fork server whose commands write such."""

from pathlib import Path

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from lightning_modules.core.run_config import REPORT_NAME
from lightning_modules.report import after_runs

_DRAW = Figure.draw
_WRITE = after_runs._write


def leave_pictures_blank(blank: bool) -> None:
    """Draw nothing where figures are written, and leave reports empty; or draw and write them again.

    A small search spends more time on its figures and its report than on training.
    """
    Figure.draw = _draw_nothing if blank else _DRAW  # type: ignore[method-assign]
    after_runs._write = _write_nothing if blank else _WRITE


def _draw_nothing(figure: Figure, renderer: RendererBase) -> None:
    pass


def _write_nothing(root: Path) -> None:
    (root / REPORT_NAME).touch()


if __name__ == "__main__":
    from benchmarks.common.fork_server import serve

    leave_pictures_blank(True)
    serve()
