"""The panels of a search's picture: rewards over rounds, and over the size of formulas."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from lightning_modules.search.reports.stored_measurement import stored_measurement
from lightning_modules.search.reports.summary import ranking
from lightning_modules.search.study import Study
from lightning_modules.utilities.figure_style import BLUE, GREEN, GUIDE, INK, ORANGE

# Below what the axis has to hold, it goes on for so much of that at most; most candidates of a search are far worse.
_DEPTH, _LEAST_HEIGHT, _MARGIN = 1.0, 1e-4, 0.06
# Inches between a formula's dot and its error bars, of which there are two kinds.
_ASIDE = 0.07
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
    axes.plot(_best_of_rounds(found), "o-", color=ORANGE, markersize=3, linewidth=1.2, label="best of the round")
    _draw_best_error(axes, study, place)
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
        label = f"below the axis: {len(edge)} of {len(lower)}"
        axes.plot([], [], "v", markersize=4, color=BLUE, alpha=0.7, label=label)


def _draw_best_error(axes: Axes, study: Study, place: pd.Series) -> None:
    best = study.candidates.iloc[:1].dropna(subset="standard_error")
    look = {"fmt": "o", "color": BLUE, "label": "best, ± standard error"}
    _draw_error_bars(axes, place, best["reward"], best["standard_error"], _ASIDE, look)


def _draw_validated(axes: Axes, found: pd.DataFrame, place: pd.Series) -> None:
    finalists = found[found["validated"].notna()]
    errors = finalists["validated_se"].fillna(0.0)
    look = {"fmt": "D", "color": GREEN, "label": "validated, trained fully"}
    _draw_error_bars(axes, place, finalists["validated"], errors, 2 * _ASIDE, look)


def _draw_error_bars(
    axes: Axes, place: pd.Series, values: pd.Series, errors: pd.Series, aside: float, look: Mapping[str, Any]
) -> None:
    """Draw values with their errors, if there are any, so many inches beside the dots of their formulas.

    There they hide neither each other nor the steps of the best so far.
    """
    if values.empty:
        return
    shifted = axes.transData + ScaledTranslation(aside, 0, axes.figure.dpi_scale_trans)
    axes.errorbar(place[values.index], values, errors, markersize=4, capsize=3, linewidth=1, transform=shifted, **look)


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


def _best_of_rounds(found: pd.DataFrame) -> pd.Series:
    """Return the best reward of every round in which a formula could be trained."""
    best: pd.Series = found[found["status"] == "trained"].groupby("round")["reward"].max()
    return best


def _best_so_far(found: pd.DataFrame) -> pd.Series:
    """Return the reward of the best formula of all rounds until each one."""
    ranked = ranking(found)
    places = ranked.index.to_series().groupby(ranked["round"]).min().cummin()
    return ranked["reward"].loc[places].set_axis(places.index)


def _set_window(axes: Axes, study: Study) -> float:
    """Set which rewards are shown, all that have to be and as many others as have room, and return the least."""
    held, rewards = _held(study), study.candidates["reward"]
    low, high = float(held.min()), float(held.max())
    low = max(min(low, float(rewards.min())), low - _DEPTH * (high - low))
    margin = _MARGIN * (high - low) + max(0.0, _LEAST_HEIGHT - (high - low)) / 2
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda reward, _: f"{reward:+.6g}" if abs(reward) > 1e-9 else "0"))
    return low - margin


def _held(study: Study) -> pd.Series:
    """Return what an axis has to hold: the best of all rounds, the finalists, the baseline, and their errors."""
    found, hand_made = study.candidates, study.losses[study.losses["kind"] == "reference"]
    best, error = found.iloc[:1], found["validated_se"].fillna(0.0)
    held = [
        _best_of_rounds(found),
        *(best["reward"] + sign * best["standard_error"].astype(float) for sign in (-1, 1)),
        *(found["validated"] + sign * error for sign in (-1, 1)),
        hand_made["reward"].nlargest(1),
        pd.Series([0.0] if stored_measurement(study).relative else []),
    ]
    values = pd.concat([each.astype(float) for each in held]).dropna()
    return values if len(values) else found["reward"]


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
