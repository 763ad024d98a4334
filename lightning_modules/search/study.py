"""Reads what a search left in its folder, whether it was finished or not."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_modules.core.run_config import CONFIG_NAME
from lightning_modules.losses import Formula, FormulaLoss, Numerics
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import read_ledger
from lightning_modules.search.reports.summary import ranking
from lightning_modules.utilities.untrusted_data import built, read_settings

_SHOWN = 40
_REFERENCE = re.compile(r"(?P<root>.+)#(?P<rank>\d+)")


@dataclass(frozen=True)
class Study:
    """A search that ran, or still runs.

    Attributes:
        root: Its folder.
        losses: Its ledger with ranks, best first: one row a trained loss, hand-made ones without a rank.
        numerics: Protection of its formulas.
        strategy: Class name of the strategy that wrote them; empty if the settings are not there.
        rounds: Rounds that were asked for; ``None`` if the settings are not there.
    """

    root: Path
    losses: pd.DataFrame
    numerics: Numerics
    strategy: str
    rounds: int | None

    @classmethod
    def read(cls, root: str | Path) -> "Study":
        """Read the study in a folder.

        Raises:
            FileNotFoundError: If the folder holds no ledger.
            ValueError: If the ledger or the settings cannot be read.
        """
        ledger = read_ledger(root)
        missing = sorted({field.name for field in fields(Candidate) if field.default is MISSING} - {*ledger})
        if missing:
            raise ValueError(f"the ledger of '{root}' has no column {missing[0]}; name the folder of a search")
        losses = ranking(ledger)
        settings = settings_of(Path(root)).get("search", {})
        try:
            numerics = _numerics(settings.get("numerics", "protected"))
            strategy = _class_name(settings.get("strategy", ""))
            rounds = _rounds(settings.get("rounds"))
        except ValueError as error:
            raise ValueError(f"'{Path(root) / CONFIG_NAME}' does not hold the settings of a search: {error}") from error
        return cls(Path(root), losses, numerics, strategy, rounds)

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """The rows of the searched formulas, best first."""
        return self.losses[self.losses["kind"] == "candidate"]

    @property
    def budget(self) -> int:
        """The number of candidates that were trained, those that failed included."""
        return len(self.candidates)

    @property
    def finished_rounds(self) -> int:
        """The last round that has a candidate."""
        return int(self.candidates["round"].max()) if self.budget else 0

    @property
    def progress(self) -> str:
        """How far the search got, in words."""
        planned = "" if self.rounds is None else f" of {self.rounds}"
        return f"{self.finished_rounds}{planned} rounds, {self.budget} trained candidates"

    @property
    def is_unfinished(self) -> bool:
        """Whether fewer rounds are there than were asked for."""
        return self.rounds is not None and self.finished_rounds < self.rounds

    def limited_to(self, budget: int) -> "Study":
        """Return the study as it stood after so many trained candidates."""
        first = self.losses.sort_values("id")
        allowed = (first["kind"] == "candidate").cumsum() <= budget
        return replace(self, losses=ranking(first[allowed]))

    def formula(self, rank: int) -> Formula:
        """Return the searched formula of a rank, counted from 1.

        Raises:
            ValueError: If the study has no such rank.
        """
        if not 1 <= rank <= self.budget:
            raise ValueError(f"'{self.root}' has no formula of rank {rank}: it holds {self.budget}")
        return Formula.parse(self.candidates["formula"].iloc[rank - 1])

    def loss(self, rank: int) -> FormulaLoss:
        """Return the formula of a rank as the loss that it was trained as; raises like :meth:`formula`."""
        return FormulaLoss(self.formula(rank), self.numerics)


def numerics_of(given: Numerics | str | None, study: Study | None) -> Numerics | str:
    """Return the numerics that formulas get: those given, or else those of the study, or else the default ones."""
    if given is not None:
        return given
    return study.numerics if study is not None else "protected"


def loss_of(reference: str) -> FormulaLoss | None:
    """Return the loss that ``RUN#RANK`` names, such as ``runs/shop#1``; ``None`` if the text has not that form.

    Raises:
        FileNotFoundError: If there is no such study.
        ValueError: If the study has no such rank.
    """
    match = _REFERENCE.fullmatch(reference)
    return Study.read(match["root"]).loss(int(match["rank"])) if match else None


def settings_of(root: Path) -> Mapping[str, Any]:
    """Return the settings of the study in a folder; nothing if they are not there.

    Raises:
        ValueError: If the file there does not hold the settings of a search.
    """
    path = root / CONFIG_NAME
    if not path.exists():
        return {}
    settings = read_settings(path)
    if not isinstance(settings, Mapping) or not isinstance(settings.get("search"), Mapping):
        raise ValueError(f"{path} does not hold the settings of a search")
    return settings


def _numerics(value: Any) -> Numerics:
    if isinstance(value, str):
        return Numerics.named(value)
    return built(Numerics, value.get("init_args", value) if isinstance(value, Mapping) else value)


def _class_name(value: Any) -> str:
    path = value.get("class_path") if isinstance(value, Mapping) else value
    if not isinstance(path, str):
        raise ValueError(f"its strategy is {str(value)[:_SHOWN]}")
    return path.rpartition(".")[2][:_SHOWN]


def _rounds(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"its rounds are {str(value)[:_SHOWN]}")
    return value
