"""How a study's rewards and finalists were measured, from the settings in its folder."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lightning_modules.losses import FormulaError
from lightning_modules.losses.figures import curves_of
from lightning_modules.search.reports.measurement import Measurement, reward_length, tuned_words
from lightning_modules.search.study import Study, settings_of

_LONGEST_NAME, _UNKNOWN = 60, "the baseline"


def stored_measurement(study: Study) -> Measurement:
    """Return how rewards and finalists were measured; what the settings do not say is as by default.

    Raises:
        ValueError: If the settings cannot be read.
    """
    settings = settings_of(study.root)
    search, trainer = (_section(settings, name) for name in ("search", "trainer"))
    ladder, tuning = search.get("ladder"), search.get("tuning")
    epochs = ladder[-1] if isinstance(ladder, list) and ladder else trainer.get("max_epochs")
    baseline = class_name(search.get("baseline")) or _usual(study)
    return Measurement(
        monitor=str(search.get("monitor") or "val/auc"),
        reward=reward_length(epochs, tuned_around=baseline if tuning else ""),
        holds_out=bool(search.get("holdout")),
        seeds=search.get("finalist_seeds", 3),
        most_epochs=search.get("finalist_epochs", 100),
        tuned=tuned_words(temperatures=bool(_section(search, "tuning").get("temperatures"))),
        baseline=baseline,
        relative=bool(search.get("relative", True)),
        negated=search.get("mode") == "min",
    )


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def class_name(value: Any) -> str:
    """Return the name of the class that settings name, without its package; empty if they name none."""
    path = value.get("class_path") if isinstance(value, Mapping) else value
    return path.rpartition(".")[2][:_LONGEST_NAME] if isinstance(path, str) else ""


def _usual(study: Study) -> str:
    """Return the usual baseline of the study's formulas."""
    # A ledger may hold a formula that cannot be read.
    with suppress(FormulaError):
        return curves_of(study.loss(1)).usual.title if study.num_candidates else _UNKNOWN
    return _UNKNOWN
