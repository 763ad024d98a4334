"""The picture of a search: rewards over its rounds, their front, and a formula beside the usual loss."""

import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lightning_modules.losses.figures import draw_beside_usual
from lightning_modules.search.events import SearchObserver
from lightning_modules.search.ledger import LEDGER_NAME
from lightning_modules.search.reports.panels import draw_front, draw_rewards
from lightning_modules.search.study import Study
from lightning_modules.utilities.figure_style import styled
from lightning_modules.utilities.files import save_picture

#: Name of the picture inside a study's folder.
PICTURE_NAME = "search.png"

_TITLE_WIDTH, _TITLE_LINES = 112, 4


class PictureFile(SearchObserver):
    """Draws the study when its search ends, successful or not, if there is a candidate.

    Args:
        root: The study's folder, whose ledger has to be an earlier observer.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def on_end(self) -> None:
        """Write the picture."""
        # A ledger without any trained loss is removed.
        if not (self.root / LEDGER_NAME).exists():
            return
        study = Study.read(self.root)
        if study.num_candidates:
            answer = study.candidates[study.candidates["is_answer"]]
            write_picture(study, self.root / PICTURE_NAME, 1 if answer.empty else int(answer["rank"].iloc[0]))


def write_picture(study: Study, path: Path, rank: int = 1) -> None:
    """Write the figure of :func:`search_figure` as a PNG file.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the study has no such rank.
    """
    save_picture(path, search_figure(study, rank), dpi=150)


@styled
def search_figure(study: Study, rank: int = 1) -> Figure:
    """Draw all rewards over rounds and operators with those of hand-made losses, and a formula beside the usual loss.

    Args:
        study: A search, finished or not.
        rank: Rank of the formula to print and draw, from 1, the best one.

    Raises:
        ValueError: If the study has no such rank.
    """
    formula = study.loss(rank)
    figure = Figure(figsize=(11, 5), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=(2, 1, 1))
    over_rounds, curves = figure.add_subplot(grid[0]), figure.add_subplot(grid[2])
    over_operators = figure.add_subplot(grid[1], sharey=over_rounds)
    draw_rewards(over_rounds, study)
    draw_front(over_operators, study)
    over_operators.set_ylabel("")
    over_operators.tick_params(labelleft=False)
    draw_beside_usual(curves, "formula", formula)
    curves.set_title("this formula beside the usual loss")
    for axes, columns in ((over_rounds, 3), (over_operators, 1), (curves, 2)):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=columns)
    figure.suptitle(_title(study, rank), fontsize=8.5, family="monospace").set(parse_math=False)
    return figure


def _title(study: Study, rank: int) -> str:
    formula = study.formula(rank).shortest()
    lines = textwrap.wrap(formula, _TITLE_WIDTH, max_lines=_TITLE_LINES, placeholder=" ...")
    found = study.candidates.iloc[rank - 1]
    name = f"{'the answer, ' if found['is_answer'] else ''}formula of rank {rank}"
    validated = (
        "" if pd.isna(found["validated"]) else f"; validated {_words(found['validated'], found['validated_se'])}"
    )
    return "\n".join([f"{name}, reward {_words(found['reward'], found['standard_error'])}{validated}", *lines])


def _words(value: float, error: float) -> str:
    return f"{value:+.4f}" + ("" if pd.isna(error) else f", standard error {error:.4f}")
