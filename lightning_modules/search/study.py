"""``Study``: the results that a search, finished or not, left in its folder."""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd

from lightning_modules.core.run_config import CONFIG_NAME
from lightning_modules.losses import Formula, FormulaBased, Numerics, loss_of_formula
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.search.events import Candidate
from lightning_modules.search.front import front, with_operators
from lightning_modules.search.ledger import (
    read_compared_round,
    read_ledger,
    read_rounds,
    read_seconds,
    read_validated,
)
from lightning_modules.search.limits import SearchLimits
from lightning_modules.search.reports.summary import ranking, with_validation
from lightning_modules.utilities.durations import seconds_of
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.serialization import is_folder
from lightning_modules.utilities.untrusted_data import built, read_settings

_SHOWN = 40
_REFERENCE = re.compile(r"(?P<root>.+)#(?P<place>\d+|front\b.*|answer)")
_PLACE = re.compile(r"(?P<rank>\d+)|front:(?P<operators>\d+)|answer")


@dataclass(frozen=True)
class Study:
    """The results of a search that has ended or still runs.

    Attributes:
        root: Its folder.
        losses: Its ledger, best first: one row per loss, with a rank for searched formulas.
        numerics: Numeric protection of its formulas.
        strategy: Class name of the search strategy; empty if there are no settings.
        rounds: Rounds that the settings ask for; ``None`` if there are no settings.
        temperature: Temperature of its formulas of scores.
        rounds_on_disk: Finished rounds by its ledger; ``None`` if an earlier version wrote that.
        ending: Why the search ended; empty if rounds or finalists are left, or if there are no settings.
        awaits_finalists: Whether its rounds have ended, and finalists are to be trained.
    """

    root: Path
    losses: pd.DataFrame
    numerics: Numerics
    strategy: str
    rounds: int | None
    temperature: float = DEFAULT_TEMPERATURE
    rounds_on_disk: int | None = None
    ending: str = ""
    awaits_finalists: bool = False

    @classmethod
    def read(cls, root: str | Path) -> Self:
        """Read the study in a folder.

        Raises:
            FileNotFoundError: If the folder holds no ledger.
            ValueError: If the ledger or the settings cannot be read.
        """
        ledger = read_ledger(root)
        missing = sorted({field.name for field in fields(Candidate) if field.default is MISSING} - {*ledger})
        if missing:
            raise ValueError(f"the ledger of '{root}' has no column {missing[0]}; name the folder of a search")
        losses = with_validation(with_operators(ranking(ledger)), read_validated(root))
        settings = settings_of(Path(root)).get("search", {})
        try:
            numerics = _numerics(settings.get("numerics", "protected"))
            strategy = _class_name(settings.get("strategy", ""))
            rounds, finalists = (_count(settings.get(name), name) for name in ("rounds", "finalists"))
            temperature = _temperature(settings.get("temperature"))
            limits = None if rounds is None else _limits(rounds, settings)
        except ValueError as error:
            raise ValueError(f"'{Path(root) / CONFIG_NAME}' does not hold the settings of a search: {error}") from error
        study = cls(Path(root), losses, numerics, strategy, rounds, temperature, read_rounds(root))
        return study if limits is None else study._ended(limits, has_finalists=bool(finalists))

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """The rows of the searched formulas, best first."""
        return self.losses[self.losses["kind"] == "candidate"]

    @property
    def validated_first(self) -> pd.DataFrame:
        """The rows of the trained formulas: the answer, the other finalists by their results, then the rest."""
        trained = self.candidates[self.candidates["status"] == "trained"]
        return trained.sort_values(["is_answer", "validated"], ascending=False, kind="stable")

    @cached_property
    def front(self) -> pd.DataFrame:
        """The rows of the front of reward against number of operators, the shortest formula first."""
        return front(self.losses)

    @property
    def num_candidates(self) -> int:
        """The number of candidates, failed ones included."""
        return len(self.candidates)

    @property
    def num_finalists(self) -> int:
        """The number of formulas that were compared with the baseline after full trainings, failed ones included."""
        return int(self.candidates.loc[self.candidates["is_finalist"], "formula"].nunique())

    @property
    def found_nothing(self) -> bool:
        """Whether the answer is that no formula beats the baseline."""
        return self.num_finalists > 0 and not self.candidates["is_answer"].any()

    @property
    def finished_rounds(self) -> int:
        """The number of finished rounds; where the ledger does not tell it, the last round that has a candidate."""
        return self._last_round if self.rounds_on_disk is None else self.rounds_on_disk

    @property
    def _last_round(self) -> int:
        return int(self.candidates["round"].max()) if self.num_candidates else 0

    @property
    def progress(self) -> str:
        """The finished rounds and candidates, as text."""
        planned = "" if self.rounds is None else f" of {self.rounds}"
        left = ", finalists still to train" if self.awaits_finalists else ""
        return f"{self.finished_rounds}{planned} rounds, {self.num_candidates} trained candidates{left}"

    @property
    def is_unfinished(self) -> bool:
        """Whether rounds or finalists are left that the settings ask for, and no other limit ended the search."""
        return self.rounds is not None and not self.ending

    def _ended(self, limits: SearchLimits, *, has_finalists: bool) -> Self:
        """Return the study with why it ended.

        Args:
            limits: The limits of its search.
            has_finalists: Whether finalists are trained after its rounds.
        """
        best = self.candidates[self.candidates["status"] == "trained"]["round"]
        ending = self._ending(limits, int(best.iloc[0]) if len(best) else 0)
        # Without a trained formula there is none to validate.
        is_due = has_finalists and len(best) > 0 and read_compared_round(self.root) < self.finished_rounds
        awaits = bool(ending) and is_due
        return replace(self, ending="" if awaits else ending, awaits_finalists=awaits)

    def _ending(self, limits: SearchLimits, best_round: int) -> str:
        # No limit ends a search within a round.
        if self._last_round > self.finished_rounds:
            return ""
        return limits.ending(self.finished_rounds, best_round, read_seconds(self.root))

    def limited_to(self, num_candidates: int) -> Self:
        """Return the study as it was after so many candidates."""
        first = self.losses.sort_values("id")
        allowed = (first["kind"] == "candidate").cumsum() <= num_candidates
        return replace(self, losses=ranking(first[allowed]), rounds_on_disk=None)

    def formula(self, rank: int) -> Formula:
        """Return the searched formula of a rank, counted from 1.

        Raises:
            ValueError: If the study has no such rank.
        """
        if not 1 <= rank <= self.num_candidates:
            raise ValueError(f"'{self.root}' has no formula of rank {rank}: it holds {self.num_candidates}")
        return Formula.parse(self.candidates["formula"].iloc[rank - 1])

    def rank_at(self, place: str) -> int:
        """Return the rank at a place: ``answer``, a rank, such as ``3``, or ``front:4``.

        The last one is the best formula with at most four operators.

        Raises:
            ValueError: If the text is no place, or no formula is there.
        """
        match = _PLACE.fullmatch(place)
        if match is None:
            raise ValueError(
                f"'{shortened(place, _SHOWN)}' is no place in '{self.root}': name a rank, as in {self.root}#1, or the "
                f"largest number of operators, as in {self.root}#front:4, or {self.root}#answer"
            )
        if match["rank"]:
            return int(match["rank"])
        if match["operators"] is None:
            return self._answer_rank()
        short = self.front[self.front["operators"] <= int(match["operators"])]
        if short.empty:
            least = f": the shortest has {self.front['operators'].iloc[0]}" if len(self.front) else ""
            raise ValueError(f"'{self.root}' has no formula with at most {match['operators']} operators{least}")
        return int(short["rank"].iloc[-1])

    def _answer_rank(self) -> int:
        answer = self.candidates[self.candidates["is_answer"]]
        if not answer.empty:
            return int(answer["rank"].iloc[0])
        if self.found_nothing:
            raise ValueError(
                f"the answer of '{self.root}' is that nothing that beats the baseline was found, so that there is no "
                f"formula to take; {self.root}#1 is the one with the highest reward"
            )
        raise ValueError(
            f"'{self.root}' has no answer, since none of its formulas was trained to convergence: give the command of "
            f"its search again with --search.finalists 10, or take the one with the highest reward, {self.root}#1"
        )

    def loss(self, rank: int) -> FormulaBased:
        """Return the formula of a rank as a loss with the numerics of the search and the best temperature known.

        That is the one that was tuned for a finalist, else that of the reward, else the search's. Raises like
        :meth:`formula`.
        """
        formula, row = self.formula(rank), self.candidates.iloc[rank - 1]
        tuned = (row[name] for name in ("validated_temperature", "temperature") if name in row)
        temperature = next((float(each) for each in tuned if not pd.isna(each)), self.temperature)
        return loss_of_formula(formula, self.numerics, temperature)


def numerics_of(given: Numerics | str | None, study: Study | None) -> Numerics | str:
    """Return the given numerics, or else those of the study, or else the default ones."""
    if given is not None:
        return given
    return study.numerics if study is not None else "protected"


def loss_of(reference: str) -> FormulaBased | None:
    """Return the loss that ``RUN#RANK``, ``RUN#front:OPERATORS`` or ``RUN#answer`` names; ``None`` for other texts.

    ``runs/shop#1`` is the best formula of that study, ``runs/shop#front:4`` the best with at most four operators.

    Raises:
        FileNotFoundError: If there is no such study.
        ValueError: If the study has no such formula.
    """
    found = referred(reference)
    return found[0].loss(found[1]) if found else None


def referred(reference: str) -> tuple[Study, int] | None:
    """Return the study and the rank that a reference names; see :func:`loss_of`."""
    root, place = split_reference(reference)
    if not place:
        return None
    study = Study.read(root)
    return study, study.rank_at(place)


def split_reference(text: str) -> tuple[str, str]:
    """Return the folder and the place of a reference; a text that is none is a folder without a place."""
    match = _REFERENCE.fullmatch(text)
    return (match["root"], match["place"]) if match else (text, "")


def named_study(text: str) -> tuple[str, str]:
    """Return the folder of a study, and the place in it if one is named; what is a folder is no reference."""
    return (text, "") if is_folder(text) else split_reference(text)


def settings_of(root: Path) -> Mapping[str, Any]:
    """Return the settings of the study in a folder; empty if there are none.

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
        raise ValueError(f"its strategy is {shortened(str(value), _SHOWN)}")
    return path.rpartition(".")[2][:_SHOWN]


def _count(value: Any, name: str) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"its {name} are {shortened(str(value), _SHOWN)}")
    return value


def _limits(rounds: int, settings: Mapping[str, Any]) -> SearchLimits:
    budget, patience = settings.get("time_budget"), settings.get("patience")
    if not isinstance(budget, str | float | int | None) or not isinstance(patience, int | None):
        raise ValueError(f"its time is {shortened(str(budget), _SHOWN)} and its patience {patience}")
    return SearchLimits(rounds, time_budget=None if budget is None else seconds_of(budget), patience=patience)


def _temperature(value: Any) -> float:
    if value is None:
        return DEFAULT_TEMPERATURE
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"its temperature is {shortened(str(value), _SHOWN)}")
    return float(value)
