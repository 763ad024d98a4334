"""Pictures that are written without being drawn; as a module it is a fork server whose commands write such."""

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

_DRAW = Figure.draw


def leave_pictures_blank(blank: bool) -> None:
    """Draw nothing where figures are written, or draw them again.

    A small search spends more time on drawing its figures than on training.
    """
    Figure.draw = _draw_nothing if blank else _DRAW  # type: ignore[method-assign]


def _draw_nothing(figure: Figure, renderer: RendererBase) -> None:
    pass


if __name__ == "__main__":
    from benchmarks.common.fork_server import serve

    leave_pictures_blank(True)
    serve()
