"""The report of a search."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_modules.losses import FormulaError
from lightning_modules.report.html import Markup, element, joined, paragraphs, table
from lightning_modules.report.losses import ShownLoss, cards, properties, symbols, written
from lightning_modules.report.page import Page, Section
from lightning_modules.report.pictures import picture
from lightning_modules.report.run_facts import FolderSettings, commands, data_section, settings_section
from lightning_modules.search.answer import bar_words
from lightning_modules.search.reports.panels import draw_front, draw_rewards
from lightning_modules.search.reports.stored_measurement import stored_measurement
from lightning_modules.search.reports.summary import shortest
from lightning_modules.search.study import Study
from lightning_modules.utilities.figure_style import styled
from lightning_modules.utilities.program import command, free_folder

#: Formulas with curves: each takes as long as a twentieth of a second.
_MOST_CARDS = 8
_SHOWN = {
    "strategy": "search.strategy",
    "rounds": "search.rounds",
    "candidates a round": "search.candidates",
    "epochs a candidate": "trainer.max_epochs",
    "metric": "search.monitor",
    "baseline": "search.baseline",
    "seed": "seed_everything",
}


def search_page(root: Path) -> Page:
    """Return the report of the search in a folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a file there cannot be read.
    """
    return _SearchReport(root).page()


class _SearchReport:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.study = Study.read(root)
        self.settings = FolderSettings(root)
        self.shown = _worth_showing(self.study)
        self.measurement = stored_measurement(self.study)

    def page(self) -> Page:
        """Return the report."""
        sections = [
            Section("Answer", self._answer()),
            Section("What the reward is", self._reward()),
            *([Section("Course of the search", self._course())] if self.study.num_candidates else []),
            *([Section("Formulas", self._formulas()), Section("Properties", self._properties())] if self.shown else []),
            settings_section(self.settings, "search", _SHOWN),
            data_section(self.root),
            Section("How to go on", self._next_steps()),
        ]
        lead = [self._outcome(), f"{self.study.progress}." if self.study.progress else ""]
        origin = f"The search in {self.root}"
        return Page(f"Search for a loss: {self.settings.subject}", lead, sections, origin)

    @property
    def _answer_row(self) -> pd.Series | None:
        rows = self.study.candidates[self.study.candidates["is_answer"]]
        return None if rows.empty else rows.iloc[0]

    def _outcome(self) -> str:
        """Return what the search found, in a sentence."""
        baseline, metric = self.measurement.baseline, self.measurement.metric
        if self._answer_row is not None:
            return (
                f"The search found a loss whose {metric} on the validation rows is better than that of tuned "
                f"{baseline} by {_with_error(self._answer_row['validated'], self._answer_row['validated_se'])}."
            )
        if self.study.found_nothing:
            return f"The search found nothing that beats tuned {baseline}."
        if not self.shown:
            return "No formula was trained yet."
        best = self.study.candidates.iloc[0]
        return (
            f"The best formula has a reward of {_with_error(best['reward'], best['standard_error'])}, which is not "
            "validated: no formula was trained to convergence."
        )

    def _answer(self) -> Markup:
        row, finalists = self._answer_row, self.study.num_finalists
        if row is not None:
            loss = self.study.loss(int(row["rank"]))
            words = (
                f"Validated: it was trained to convergence beside tuned {self.measurement.baseline} and beat it by "
                f"more than {bar_words(finalists)} of the difference, the shortest of those that do and are as good. "
                f"{self.measurement.finalist_sentence} The test rows were not looked at; a comparison does that."
            )
            return joined([element("div", written(loss), class_="answer"), paragraphs(words)])
        if self.study.found_nothing:
            return paragraphs(
                f"None of {finalists} finalists has a better {self.measurement.metric} on the validation rows than "
                f"tuned {self.measurement.baseline} by more than {bar_words(finalists)} of the difference. "
                f"{self.measurement.finalist_sentence}"
            )
        return paragraphs(
            "There is none: no formula was trained to convergence, and rewards are of short trainings. "
            "--search.finalists 10, with the same command, does that."
        )

    def _reward(self) -> Markup:
        outlook = "It says which formulas are worth a full training, not how good they are after one."
        return paragraphs(self.measurement.reward_sentence, outlook)

    def _course(self) -> Markup:
        study, best = self.study, self.study.candidates.iloc[0]
        # The last round may have only begun.
        rounds = int(study.candidates["round"].max())
        found = f"The best so far, {best['reward']:+.4f}, was found in round {best['round']} of {rounds}."
        over_rounds = (
            f"{found} Dots are trained formulas, dashed lines hand-made losses; diamonds are formulas that were "
            "trained to convergence, where they ended."
        )
        over_operators = "Steps lead from the best short formula to the best of all: what further operators bring."
        return element(
            "div",
            picture(
                _panel(study, draw_rewards, width=5.2, columns=2),
                "course",
                over_rounds,
                f"Rewards of {study.num_candidates} formulas. {found}",
            ),
            picture(
                _panel(study, draw_front, width=4.4, columns=1),
                "front",
                over_operators,
                f"Rewards by operators. {self._front_words()}",
            ),
            class_="panels",
        )

    def _front_words(self) -> str:
        steps = [f"{row['reward']:+.4f} with {row['operators']}" for _, row in self.study.front.iterrows()]
        return f"The best reward is {', '.join(steps)} operators." if steps else "No formula is on the front."

    def _formulas(self) -> Markup:
        front = [_front_cells(row) for _, row in self.study.front.iterrows()]
        header = ("operators", "rank", "reward ± standard error", "validated ± standard error", "formula")
        hand_made = self.study.losses[self.study.losses["kind"] == "reference"]
        usual = [[row["formula"], _plus_minus(row["reward"], row["standard_error"])] for _, row in hand_made.iterrows()]
        left = self.study.num_candidates - len(self.shown)
        return joined(
            [
                table("The front: the best formula with at most so many operators", header, front),
                cards(self.shown),
                symbols([each.loss for each in self.shown]),
                paragraphs(f"{left} more formulas are in formulas.csv." if left > 0 else ""),
                table("Hand-made losses", ("loss", "reward ± standard error"), usual) if usual else "",
            ]
        )

    def _properties(self) -> Markup:
        return properties(self.shown)

    def _next_steps(self) -> Markup:
        root = self.root
        steps = {
            "See on the test rows whether it holds, with intervals": command(
                "compare", "--study", root, "--root", free_folder(f"{root}_compare")
            )
        }
        if self._answer_row is not None:
            rank = int(self._answer_row["rank"])
            steps["Train a model with the answer"] = command(
                "fit", "--config", "FILE", "--model.loss", f"{root}#answer"
            )
            steps["Take the answer elsewhere, as Python"] = command("export", root, "--rank", rank, "--to", "python")
        steps["Search on: the same command with more rounds"] = command(
            "search", "--config", root / "config.yaml", "--search.rounds", 2 * (self.study.rounds or 10)
        )
        return commands(steps)


def _worth_showing(study: Study) -> list[ShownLoss]:
    """Return the answer, the front from its best formula on, and the other finalists."""
    trained = study.candidates[study.candidates["status"] == "trained"]
    parts = [trained[trained["is_answer"]], study.front[::-1], trained[trained["validated"].notna()]]
    rows = pd.concat(parts).drop_duplicates("formula").head(_MOST_CARDS)
    return [shown for _, row in rows.iterrows() if (shown := _shown(study, row)) is not None]


def _shown(study: Study, row: pd.Series) -> ShownLoss | None:
    rank = int(row["rank"])
    try:
        loss = study.loss(rank)
    except FormulaError:
        # A ledger may hold formulas that are too long to be read.
        return None
    validated = "" if pd.isna(row["validated"]) else f"; validated {_with_error(row['validated'], row['validated_se'])}"
    remark = f"Reward {_with_error(row['reward'], row['standard_error'])}{validated}."
    name = f"Rank {rank}, the answer" if row["is_answer"] else f"Rank {rank}"
    return ShownLoss(name, loss, remark, f"{study.root}#{rank}")


def _front_cells(row: pd.Series) -> list[object]:
    return [
        str(row["operators"]),
        str(row["rank"]),
        _plus_minus(row["reward"], row["standard_error"]),
        _plus_minus(row["validated"], row["validated_se"]),
        element("code", shortest(str(row["formula"]), str(row["simplified"]))),
    ]


def _plus_minus(value: float, error: float) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:+.4f}" if pd.isna(error) else f"{value:+.4f} ± {error:.4f}"


def _with_error(value: float, error: float) -> str:
    return f"{value:+.4f}" + ("" if pd.isna(error) else f" (standard error {error:.4f})")


@styled
def _panel(study: Study, draw: Callable[[Axes, Study], object], *, width: float, columns: int) -> Figure:
    """Return one panel of the search's picture as a figure of its own, with so many columns in its legend."""
    figure = Figure(figsize=(width, 4.6), layout="constrained")
    axes = figure.subplots()
    draw(axes, study)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return figure
