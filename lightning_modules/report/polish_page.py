"""The report of a polish."""

from pathlib import Path

import pandas as pd

from lightning_modules.polish.arms import CONTROL
from lightning_modules.polish.figures import DIFFERENCES_NAME, TESTED, differences_figure
from lightning_modules.report.html import Markup, element
from lightning_modules.report.page import Page, Section
from lightning_modules.report.pictures import picture
from lightning_modules.report.run_facts import FolderSettings, commands, data_section, read_numbers, settings_section
from lightning_modules.report.summary_text import summary_of
from lightning_modules.utilities.program import command, tensorboard_command

_TEXTS = ("arm", "metric", "task")
_NUMBERS = ("difference", "low", "high", "p_holm")
_SHOWN = {
    "first seed": "seed_everything",
    "seeds": "polish.seeds",
    "metric": "polish.monitor",
    "factor of Q": "polish.polish_lambda",
    "epochs of a fine-tuning": "polish.fine_tuning_epochs",
    "confidence": "polish.confidence",
}


def polish_page(root: Path) -> Page:
    """Return the report of the polish in a folder.

    Raises:
        FileNotFoundError: If it has not ended.
        ValueError: If a file there cannot be read.
    """
    settings, table = FolderSettings(root), root / DIFFERENCES_NAME
    # Polishes of earlier versions have none, and neither have those of one seed.
    found = read_numbers(table, _TEXTS, _NUMBERS) if table.is_file() else pd.DataFrame()
    level = 1 - settings.confidence("polish")
    sections = [
        *([Section("Differences", _pictures(found, settings))] if len(found) else []),
        Section("Results", summary_of(root / "summary.md")),
        settings_section(settings, "polish", _SHOWN),
        data_section(root),
        Section("How to go on", _next_steps(root, settings)),
    ]
    lead = _outcome(found, level) if len(found) else "What critic weights bring beside more training alone."
    return Page(f"Polish: {settings.subject}", [lead], sections, f"The polish in {root}")


def _outcome(found: pd.DataFrame, level: float) -> str:
    auc = found[(found["metric"] == "auc") & (found["p_holm"] < level)]
    words = "; ".join(f"{row.arm}, {row.task} ({row.difference:+.4f})" for row in auc.itertuples())
    if not words:
        return f"In the test AUC no arm can be told apart from '{CONTROL}', which is more training alone."
    return f"The test AUC differs from that of '{CONTROL}', which is more training alone: {words}."


def _pictures(found: pd.DataFrame, settings: FolderSettings) -> Markup:
    seeds = settings.of("polish").get("seeds", "several")
    basis = f"{100 * settings.confidence('polish'):g} % intervals over {seeds} seeds and test sessions"
    parts = []
    for metric, title in TESTED.items():
        rows = found[found["metric"] == metric]
        described = "; ".join(f"{row.arm}, {row.task} {row.difference:+.4f}" for row in rows.itertuples())
        figure = differences_figure(found, metric, CONTROL, basis)
        caption = f"Differences from '{CONTROL}' in test {title}; lines are {basis}."
        parts.append(picture(figure, f"differences-{metric.replace('_', '-')}", caption, f"Differences: {described}."))
    return element("div", *parts, class_="panels")


def _next_steps(root: Path, settings: FolderSettings) -> Markup:
    seeds = settings.of("polish").get("seeds")
    more = 2 * seeds if isinstance(seeds, int) else 6
    return commands(
        {
            "More seeds, which narrow the intervals; what is trained is not trained again": command(
                "polish", "--config", root / "config.yaml", "--polish.seeds", more
            ),
            "Every training as a curve": tensorboard_command(root),
        }
    )
