"""The report of a comparison."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_modules.compare.figures import differences_figure
from lightning_modules.losses import FormulaBased, LossObject
from lightning_modules.report.compared_losses import FoundLoss, found_loss
from lightning_modules.report.html import Markup, element, joined, paragraphs, table
from lightning_modules.report.losses import ShownLoss, cards, properties, symbols
from lightning_modules.report.page import Page, Section
from lightning_modules.report.pictures import picture
from lightning_modules.report.protection import protection_in
from lightning_modules.report.run_facts import (
    FolderSettings,
    commands,
    count_of_test_rows,
    data_section,
    read_numbers,
    settings_section,
)
from lightning_modules.report.summary_text import summary_of
from lightning_modules.search.reports.measurement import metric_title
from lightning_modules.statistics.interval_figure import PlottedDifference
from lightning_modules.statistics.significance import resolvable_difference
from lightning_modules.utilities.markdown import short
from lightning_modules.utilities.program import command, tensorboard_command

_TEXTS = ("loss", "label", "group")
_NUMBERS = ("seeds", "difference", "low", "high", "p_holm")
#: Earlier versions did not write it.
_SPEC = "spec"
_MOST_CARDS = 8
_SEARCHES_NAME = "searches.csv"
_SEARCH_TEXTS, _SEARCH_NUMBERS = ("search", "group", "loss"), ("searches", "difference", "low", "high")
_SHOWN = {
    "first seed": "seed_everything",
    "seeds": "compare.seeds",
    "metric": "compare.monitor",
    "confidence": "compare.confidence",
    "resamples": "compare.resamples",
    "most epochs": "trainer.max_epochs",
}


def comparison_page(root: Path) -> Page:
    """Return the report of the comparison in a folder.

    Raises:
        FileNotFoundError: If it has not ended.
        ValueError: If a file there cannot be read.
    """
    return _ComparisonPage(root).page()


class _ComparisonPage:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = FolderSettings(root)
        self.metric = metric_title(str(self.settings.of("compare").get("monitor") or "val/auc"))
        self.losses = read_numbers(root / "summary.csv", _TEXTS, _NUMBERS)
        self.confidence = self.settings.confidence("compare")
        self.baseline = short(str(self.losses["label"].iloc[0]))
        self.others = self.losses.iloc[1:].sort_values("difference", ascending=False, kind="stable")
        self.found = self._found()
        self.shown = [*self._shown()][:_MOST_CARDS]

    def page(self) -> Page:
        title = f"Comparison of losses: {self.settings.subject}"
        sections = [
            Section("Differences", self._differences()),
            *([Section("Searches", self._searches())] if (self.root / _SEARCHES_NAME).is_file() else []),
            *([Section("Losses", self._cards())] if self.shown else []),
            *([Section("Properties", properties(self.shown))] if self.shown else []),
            Section("All results, and how they were measured", summary_of(self.root / "summary.md")),
            settings_section(self.settings, "compare", _SHOWN),
            data_section(self.root),
            Section("How to go on", self._next_steps()),
        ]
        return Page(title, [*self._outcome()], sections, f"The comparison in {self.root}")

    def _outcome(self) -> Iterator[str]:
        """Yield what came out, a sentence for what is better, for what is worse, and for the rest."""
        level = 1 - self.confidence
        tested, rises = self.others["p_holm"] < level, self.others["difference"] > 0
        kinds = {
            "better than": self.others[tested & rises],
            "worse than": self.others[tested & ~rises],
            "not told apart from": self.others[~tested & self.others["p_holm"].notna()],
        }
        for words, rows in kinds.items():
            if len(rows):
                names = "; ".join(f"{short(row.label)} ({row.difference:+.4f})" for row in rows.itertuples())
                yield f"On the test rows, {words} {self.baseline} in {self.metric}: {names}."
        if self.others["p_holm"].isna().all():
            yield "Nothing was tested: intervals and p-values take two seeds of a loss at least."

    def _differences(self) -> Markup:
        return joined(
            [
                self._picture(),
                self._table(),
                paragraphs(
                    f"Difference: the test {self.metric} less that of {self.baseline} from the same start, mean over "
                    "the seeds. Interval: over the draw of the test rows and the seeds. p: two-sided, adjusted for the "
                    "number of losses (Holm).",
                    self._resolution(),
                ),
            ]
        )

    def _searches(self) -> Markup:
        """Return the picture of what several searches found, and of the mean of each kind of search."""
        table = read_numbers(self.root / _SEARCHES_NAME, _SEARCH_TEXTS, _SEARCH_NUMBERS)
        rows = [PlottedDifference(_search_name(row), *self._ends(row), str(row.group)) for row in table.itertuples()]
        figure = differences_figure(rows, self.metric, self.baseline, self._basis, "what searches found")
        caption = "A search whose user would keep the baseline differs by 0; means count the spread between searches."
        return element(
            "div", picture(figure, "searches", caption, f"Differences: {_described(rows)}."), class_="panels"
        )

    @property
    def _basis(self) -> str:
        return f"{100 * self.confidence:g} % intervals over {self._seeds()} and {count_of_test_rows(self.root)}"

    def _picture(self) -> Markup:
        if self.others.empty:
            return Markup("")
        rows = [PlottedDifference(str(row.label), *self._ends(row), str(row.group)) for row in self.others.itertuples()]
        caption = f"Differences from {self.baseline} in test {self.metric}; lines are {self._basis}."
        figure = differences_figure(rows, self.metric, self.baseline, self._basis)
        return element(
            "div", picture(figure, "differences", caption, f"Differences: {_described(rows)}."), class_="panels"
        )

    @staticmethod
    def _ends(row: object) -> tuple[float, float, float]:
        estimate, low, high = (float(getattr(row, name)) for name in ("difference", "low", "high"))
        return estimate, low, high

    def _table(self) -> Markup:
        test = next((name for name in self.losses if name.startswith("test_")), "")
        header = ("loss", "seeds", f"test {self.metric}", "difference", "interval", "p (Holm)", "better")
        level = 1 - self.confidence
        rows = []
        for _, row in self.losses.iterrows():
            value = pd.to_numeric(row.get(test), errors="coerce")
            interval = "-" if math.isnan(row["low"]) else f"{row['low']:+.4f} to {row['high']:+.4f}"
            sure = not math.isnan(row["p_holm"]) and row["p_holm"] < level
            better = (
                "-"
                if math.isnan(row["p_holm"])
                else "not told apart"
                if not sure
                else "no"
                if row["difference"] < 0
                else "yes"
            )
            rows.append(
                [
                    element("code", short(row["label"])),
                    f"{row['seeds']:.0f}",
                    _number(value, ".4f"),
                    _number(row["difference"], "+.4f"),
                    interval,
                    _number(row["p_holm"], ".2g"),
                    better,
                ]
            )
        return table(f"Losses beside {self.baseline}, on the test rows", header, rows)

    def _seeds(self) -> str:
        seeds = sorted({int(each) for each in self.losses["seeds"]})
        return f"{' or '.join(map(str, seeds))} seeds"

    def _resolution(self) -> str:
        widths = ((self.others["high"] - self.others["low"]) / 2).dropna().sort_values()
        if widths.empty:
            return ""
        typical = resolvable_difference(float(widths.iloc[len(widths) // 2]), level=1 - self.confidence)
        return (
            f"These test rows and seeds resolve a true difference of about {typical:.4f} (80 % power, one comparison); "
            "smaller ones will mostly go unseen."
        )

    def _cards(self) -> Markup:
        left = len(self.others) - len(self.shown)
        return joined(
            [
                cards(self.shown),
                symbols([each.loss for each in self.shown]),
                paragraphs(f"{left} more losses are in the table above." if left > 0 else ""),
            ]
        )

    def _found(self) -> list[FoundLoss]:
        """Return the losses beside the baseline, the best first."""
        protection = protection_in(self.settings)
        return [found_loss(str(row["loss"]), row.get(_SPEC), *protection) for _, row in self.others.iterrows()]

    def _shown(self) -> Iterator[ShownLoss]:
        names: Counter[str] = Counter()
        for row, found in zip(self.others.itertuples(), self.found, strict=True):
            name = short(str(row.label))
            names[name] += 1
            if found.loss is not None:
                interval = "" if math.isnan(row.low) else f", {row.low:+.4f} to {row.high:+.4f}"
                remark = f"Test {self.metric} {row.difference:+.4f} beside {self.baseline}{interval}."
                # The same formula may have been trained with several numerics or temperatures.
                heading = name if names[name] == 1 else f"{name} ({names[name]})"
                yield ShownLoss(heading, found.loss, f"{remark}{_beyond_formula(found.loss)}", found.reference)

    def _next_steps(self) -> Markup:
        root, seeds = self.root, int(self.losses["seeds"].max())
        more = command("compare", "--config", root / "config.yaml", "--compare.seeds", 2 * seeds)
        steps = {"More seeds, which narrow the intervals; what is trained is not trained again": more}
        if len(self.others):
            best, option = short(str(self.others["label"].iloc[0])), self.found[0].option
            if option:
                steps[f"Train a model with {best}"] = command("fit", "--config", "FILE", "--model.loss", option)
        steps["Every training as a curve"] = tensorboard_command(root)
        return commands(steps)


def _search_name(row: Any) -> str:
    return f"{row.search}: {short(row.loss)}" if row.loss else f"mean of {row.searches:.0f}, {row.group}"


def _beyond_formula(loss: LossObject) -> str:
    """Return in a sentence what a formula is computed with that its text does not tell."""
    words = loss.identity.removeprefix(loss.title).strip() if isinstance(loss, FormulaBased) else ""
    return f" Computed {words}." if words else ""


def _described(rows: Sequence[PlottedDifference]) -> str:
    return "; ".join(f"{short(row.name)} {row.estimate:+.4f}, {row.low:+.4f} to {row.high:+.4f}" for row in rows)


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
