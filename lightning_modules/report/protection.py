"""The protection of the formulas of a comparison, from its settings."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lightning_modules.losses import Numerics
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.report.run_facts import FolderSettings
from lightning_modules.search.study import Study, named_study
from lightning_modules.utilities.untrusted_data import built


def protection_in(settings: FolderSettings) -> tuple[Numerics, float]:
    """Return the numerics and the temperature of the formulas of a comparison: its own, or those of its study."""
    compare = settings.of("compare")
    numerics, study = _numerics(compare.get("numerics")), _study(compare.get("study"))
    if study is None:
        return numerics or Numerics(), DEFAULT_TEMPERATURE
    return numerics or study.numerics, study.temperature


def _numerics(value: Any) -> Numerics | None:
    with suppress(ValueError):
        if isinstance(value, str):
            return Numerics.named(value)
        if isinstance(value, Mapping):
            return built(Numerics, value.get("init_args", value))
    return None


def _study(value: Any) -> Study | None:
    """Return the study that a comparison names first; ``None`` if it names none, or it is not there any more."""
    first = value[0] if isinstance(value, list) and value else value
    with suppress(OSError, ValueError):
        return Study.read(named_study(first)[0]) if isinstance(first, str) else None
    return None
