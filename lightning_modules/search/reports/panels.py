"""The panels of a search's picture: rewards over rounds, and over the size of formulas."""

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lightning_modules.search.reports.stored_measurement import stored_measurement
from lightning_modules.search.reports.summary import ranking
from lightning_modules.search.study import Study
from lightning_modules.utilities.figure_style import BLUE, GREEN, GUIDE, INK, ORANGE

# Rewards are drawn from so many times the best one below the baseline; most candidates of a search are far worse.
_DEPTH, _LEAST_SIZE = 5.0, 1e-3
# Height of a line of text as a share of the axes, and the longest line of a name beside them.
_LINE_HEIGHT, _NAME_WIDTH = 0.055, 16


def draw_rewards(axes: Axes, study: Study) -> None:
    """Draw the reward of every candidate over its round, with what became of the finalists."""
    found = study.candidates.sort_values("id")
    bottom = _set_window(axes, study)
    rounds = found.groupby("round")["reward"]
    # Side by side in the order of the round, so that they do not hide each other.
    offset = (rounds.cumcount() + 0.5) / rounds.transform("size") - 0.5
    place = found["round"] + 0.7 * offset
    _draw_dots(axes, place, found["reward"], bottom)
    axes.plot(rounds.max(), "o-", color=ORANGE, markersize=3, linewidth=1.2, label="best of the round")
    _draw_best_error(axes, study)
    _draw_validated(axes, found, place)
    axes.plot(_best_so_far(found), color=BLUE, linewidth=2, drawstyle="steps-post", label="best so far")
    axes.set(xlim=(found["round"].min() - 0.6, found["round"].max() + 0.6), xlabel="round of the search")
    axes.set_ylabel(stored_measurement(study).reward_axis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(study.progress)
    _draw_references(axes, study, bottom)


def _draw_dots(axes: Axes, place: pd.Series, rewards: pd.Series, bottom: float) -> None:
    """Draw rewards as dots, and at the lower edge as triangles those that are below it."""
    lower = rewards < bottom
    axes.scatter(place, rewards, s=9, color=BLUE, alpha=0.35, linewidths=0)
    axes.plot([], [], "o", markersize=3, color=BLUE, alpha=0.7, label="trained formula")
    if lower.any():
        edge = [bottom] * int(lower.sum())
        axes.scatter(place[lower], edge, s=12, color=BLUE, alpha=0.35, marker="v", linewidths=0, clip_on=False)
        label = f"worse than the axis shows: {len(edge)} of {len(lower)}"
        axes.plot([], [], "v", markersize=4, color=BLUE, alpha=0.7, label=label)


def _draw_best_error(axes: Axes, study: Study) -> None:
    best = study.candidates.iloc[0]
    if not pd.isna(best["standard_error"]):
        place, error = best["round"], best["standard_error"]
        axes.errorbar(place, best["reward"], error, color=BLUE, capsize=3, label="± standard error")


def _draw_validated(axes: Axes, found: pd.DataFrame, place: pd.Series) -> None:
    """Draw the finalists' results above their rewards."""
    finalists = found[found["validated"].notna()]
    if finalists.empty:
        return
    axes.errorbar(
        place[finalists.index],
        finalists["validated"],
        finalists["validated_se"].fillna(0.0),
        fmt="D",
        markersize=4,
        color=GREEN,
        capsize=3,
        linewidth=1,
        label="validated, trained fully",
    )


def draw_front(axes: Axes, study: Study) -> None:
    """Draw rewards over numbers of operators, and the front as steps."""
    found = study.candidates
    bottom = _set_window(axes, study)
    axes.axhline(0, color=INK, linewidth=0.8, linestyle="--", zorder=0)
    _draw_dots(axes, found["operators"], found["reward"], bottom)
    front = study.front.astype({"operators": int})
    operators, rewards = front["operators"], front["reward"]
    (steps,) = axes.plot(operators, rewards, "o-", color=BLUE, markersize=4, label="best with at most so many")
    steps.set_drawstyle("steps-post")
    axes.set(xlabel="operators in the formula", title="short formulas beside long ones")
    axes.set_ylabel(stored_measurement(study).reward_axis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _best_so_far(found: pd.DataFrame) -> pd.Series:
    numbers = sorted(found["round"].unique())
    return pd.Series({number: ranking(found[found["round"] <= number])["reward"].iloc[0] for number in numbers})


def _set_window(axes: Axes, study: Study) -> float:
    """Set which rewards are shown, those around the baseline and the best ones, and return the least of them."""
    found, hand_made = study.candidates, study.losses[study.losses["kind"] == "reference"]
    validated = found["validated"] + found["validated_se"].fillna(0.0)
    best = pd.Series([found["reward"].iloc[0], validated.max(), hand_made["reward"].max()]).dropna()
    size = max(float(best.abs().max()), _LEAST_SIZE)
    bottom = max(1.3 * float(found["reward"].quantile(0.1)), -_DEPTH * size)
    bottom = min(bottom, -0.3 * size, 1.1 * float(best.min()))
    axes.set_ylim(bottom, max(1.2 * float(best.max()), 0.3 * size))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda reward, _: f"{reward:+.4g}" if abs(reward) > 1e-9 else "0"))
    return bottom


def _draw_references(axes: Axes, study: Study, bottom: float) -> None:
    """Draw lines at the rewards of hand-made losses, with their names beside; what is below the edge is named there."""
    hand_made = study.losses[study.losses["kind"] == "reference"]
    lower = hand_made[hand_made["reward"] < bottom]
    inside = hand_made.drop(lower.index)
    names = inside.groupby(inside["reward"].round(6))["formula"].agg(", ".join)
    shares = [float(axes.transLimits.transform((0, float(reward)))[1]) for reward in names.index]
    labels = [*names]
    if len(lower):
        shares, labels = [0.0, *shares], [f"below: {', '.join(lower['formula'])}", *labels]
    for reward in hand_made["reward"]:
        axes.axhline(reward, color=INK if reward == 0 else GUIDE, linewidth=0.8, linestyle="--", zorder=0)
    for name, height in zip(labels, spread(shares, _LINE_HEIGHT), strict=True):
        text = "\n".join(textwrap.wrap(name, _NAME_WIDTH))
        axes.text(1.01, height, text, transform=axes.transAxes, fontsize=8, va="center").set(parse_math=False)


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
