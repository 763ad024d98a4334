"""The picture of a search: rewards over its rounds, their front, and a formula beside the usual loss."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_modules.losses.figures import curves_of, draw_beside_usual
from lightning_modules.search.events import SearchObserver
from lightning_modules.search.ledger import LEDGER_NAME
from lightning_modules.search.reports.summary import ranking
from lightning_modules.search.study import Study
from lightning_modules.utilities.files import save_picture

#: Name of the picture inside a study's folder.
PICTURE_NAME = "search.png"

_TITLE_WIDTH, _TITLE_LINES = 112, 4
_LEAST_LINEAR = 1e-3
# Height of a line of text as a share of the axes.
_LINE_HEIGHT = 0.055


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
    _draw_rewards(over_rounds, study)
    _draw_front(over_operators, study)
    draw_beside_usual(curves, "formula", formula)
    curves.set(yticks=[])
    kind = curves_of(formula)
    title = f"this formula and {kind.usual.title} over {kind.over},\nfrom the least value up, slopes alike"
    curves.set_title(title, fontsize=9)
    for axes, columns in ((over_rounds, 3), (over_operators, 1), (curves, 2)):
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=columns)
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


def _draw_rewards(axes: Axes, study: Study) -> None:
    found = study.candidates.sort_values("id")
    rounds = found.groupby("round")["reward"]
    # Side by side in the order of the round, so that they do not hide each other.
    offset = (rounds.cumcount() + 0.5) / rounds.transform("size") - 0.5
    axes.scatter(found["round"] + 0.7 * offset, found["reward"], s=9, color="tab:blue", alpha=0.3, linewidths=0)
    axes.scatter([], [], s=9, color="tab:blue", alpha=0.6, label="trained formula")
    axes.plot(rounds.mean(), "o-", color="tab:orange", markersize=3, linewidth=1.2, label="mean of the round")
    best = study.candidates.iloc[0]
    if not pd.isna(best["standard_error"]):
        axes.errorbar(
            best["round"],
            best["reward"],
            best["standard_error"],
            color="tab:blue",
            capsize=3,
            label="its standard error",
        )
    validated = _draw_validated(axes, found, found["round"] + 0.7 * offset)
    axes.plot(_best_so_far(found), color="tab:blue", linewidth=2, drawstyle="steps-post", label="best so far")
    hand_made = study.losses[study.losses["kind"] == "reference"]
    references = hand_made.groupby(hand_made["reward"].round(6))["formula"].agg(", ".join)
    linear = max(abs(study.candidates["reward"].iloc[0]), _LEAST_LINEAR)
    _scale_rewards(axes, linear, [*found["reward"], *references.index, *validated])
    axes.set(xlim=(found["round"].min() - 0.6, found["round"].max() + 0.6), xlabel="round")
    axes.set_ylabel(f"reward (logarithmic beyond ±{linear:.2g})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(study.progress, fontsize=9)
    _draw_references(axes, references)


def _draw_validated(axes: Axes, found: pd.DataFrame, place: pd.Series) -> list[float]:
    """Draw the finalists' results above their rewards, and return them."""
    finalists = found[found["validated"].notna()]
    if finalists.empty:
        return []
    axes.errorbar(
        place[finalists.index],
        finalists["validated"],
        finalists["validated_se"].fillna(0.0),
        fmt="D",
        markersize=4,
        color="tab:green",
        capsize=3,
        linewidth=1,
        label="validated, trained fully",
    )
    return [float(each) for each in finalists["validated"]]


def _draw_front(axes: Axes, study: Study) -> None:
    """Draw rewards over numbers of operators, with the scale and the reference lines of the rewards over rounds."""
    found = study.candidates
    axes.scatter(found["operators"], found["reward"], s=9, color="tab:blue", alpha=0.3, linewidths=0)
    front = study.front.astype({"operators": int})
    operators, rewards = front["operators"], front["reward"]
    (steps,) = axes.plot(operators, rewards, "o-", color="tab:blue", markersize=4, label="best with at most so many")
    steps.set_drawstyle("steps-post")
    axes.set(xlabel="operators", title="by number of operators")
    axes.title.set_fontsize(9)
    axes.tick_params(labelleft=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _best_so_far(found: pd.DataFrame) -> pd.Series:
    numbers = sorted(found["round"].unique())
    return pd.Series({number: ranking(found[found["round"] <= number])["reward"].iloc[0] for number in numbers})


def _scale_rewards(axes: Axes, linear: float, rewards: Sequence[float]) -> None:
    """Scale rewards linearly up to the best one in absolute value, and logarithmically beyond."""
    axes.set_yscale("symlog", linthresh=linear, linscale=1.5)
    bottom, top = min(1.3 * min(rewards), -0.3 * linear), max(1.15 * max(rewards), 0.3 * linear)
    near = [float(tick) for tick in MaxNLocator(2).tick_values(0, linear) if tick <= linear]
    far = [10.0**power for power in range(math.ceil(math.log10(1.3 * linear)), 2)]
    mirrored = {sign * tick for tick in [*near, *far] for sign in (-1, 1)}
    ticks = sorted(tick for tick in mirrored if bottom < tick < top)
    axes.set_ylim(bottom, top)
    axes.set_yticks(ticks, [f"{tick:+.3g}" if tick else "0" for tick in ticks], fontsize=8)
    axes.set_yticks([], minor=True)


def _draw_references(axes: Axes, names: pd.Series) -> None:
    rewards = [float(reward) for reward in names.index]
    to_share = axes.transScale + axes.transLimits
    shares = [float(to_share.transform((0, reward))[1]) for reward in rewards]
    for reward, name, height in zip(rewards, names, spread(shares, _LINE_HEIGHT), strict=True):
        axes.axhline(reward, color="black" if reward == 0 else "grey", linewidth=0.8, linestyle="--", zorder=0)
        axes.text(1.01, height, name, transform=axes.transAxes, fontsize=8, va="center").set(parse_math=False)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Return rising positions with at least a gap between them; those too close are spread around their mean."""
    groups: list[list[float]] = []
    for position in positions:
        groups.append([position])
        while len(groups) > 1 and _start(groups[-1], gap) < _start(groups[-2], gap) + gap * len(groups[-2]):
            last = groups.pop()
            groups[-1] += last
    return [_start(group, gap) + gap * number for group in groups for number in range(len(group))]


def _start(group: list[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2
