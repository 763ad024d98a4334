"""Collects losses from studies, files of formulas and texts."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lightning_modules.check.formula_file import read_formulas
from lightning_modules.check.settings import CheckSettings
from lightning_modules.losses import Formula, FormulaBased, FormulaError, LossObject, Numerics, loss_of_formula
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.search.study import Study, loss_of, numerics_of
from lightning_modules.utilities.messages import shortened

_LONGEST_SHOWN = 100
_TEXT_OR_ENDLESS = re.compile(r'"(?:[^"\\]|\\.)*"|Infinity')
_TO_CONTINUE = "the command of its search, given again, continues it"


class LossSources:
    """Reads losses from studies, files and texts, and collects remarks on them.

    Args:
        study: Folder of a search, whose numerics are the default ones; None for none.
        numerics: Protection of formulas given as text or in a file; None for the default ones.
        temperature: What such formulas of scores divide them by; None for that of the study, or the default one.

    Attributes:
        study: The study in that folder, if one was named.
        remarks: What a reader must know: unfinished searches, lines that cannot be read, and the like.

    Raises:
        FileNotFoundError: If there is no such study.
        ValueError: If the study or the numerics cannot be used.
    """

    def __init__(self, study: str | None, numerics: Numerics | str | None, temperature: float | None = None) -> None:
        self.remarks: list[str] = []
        self.study = self.read(study) if study else None
        self._numerics = numerics_of(numerics, self.study)
        of_study = DEFAULT_TEMPERATURE if self.study is None else self.study.temperature
        self._temperature = of_study if temperature is None else temperature

    def study_of(self, root: str) -> Study:
        """Return the study in a folder, which may be the one that has been read already."""
        own = self.study
        return own if own is not None and own.root == Path(root) else self.read(root)

    def read(self, root: str) -> Study:
        """Return the study in a folder, with a remark if it is unfinished."""
        study = Study.read(root)
        if study.is_unfinished:
            self.remarks.append(f"'{root}' is unfinished: {study.progress}")
        return study

    def of_formula(self, formula: Formula | str) -> FormulaBased:
        """Return the loss of a formula under the chosen numerics and temperature."""
        return loss_of_formula(formula, self._numerics, self._temperature)

    def of_text(self, text: str) -> FormulaBased:
        """Return the loss of a formula's text, or the one that a reference such as ``RUN#1`` names in a study."""
        return loss_of(text) or self.of_formula(text)

    def of_file(self, path: str | None) -> Iterator[FormulaBased]:
        """Yield the losses of a file of formulas, if there is one, with remarks on lines that cannot be read."""
        if path is not None:
            file = read_formulas(path)
            self.remarks.extend(file.remarks)
            yield from map(self.of_formula, file.formulas)


def as_json(loss: LossObject) -> str:
    """Return a loss as options take it: its class and arguments as JSON that is YAML, too.

    Raises:
        TypeError: If an argument of a class of one's own is no plain value.
    """
    # JSON's Infinity is a word in YAML, but both read numbers that are too large as infinite ones.
    return _TEXT_OR_ENDLESS.sub(lambda match: "1e999" if match[0] == "Infinity" else match[0], json.dumps(loss.spec()))


def distinct_ranks(candidates: pd.DataFrame) -> list[int]:
    """Return the ranks of a study's candidates; of a formula that was trained several times only the best one."""
    ranks: list[int] = candidates.loc[~candidates["formula"].duplicated(), "rank"].tolist()
    return ranks


@dataclass(frozen=True)
class RankedLoss:
    """One loss to check.

    Attributes:
        loss: The loss.
        rank: Its rank in the search that found it, if one did.
    """

    loss: LossObject
    rank: int | None = None


@dataclass(frozen=True)
class LossesToCheck:
    """All losses to check, each once.

    Attributes:
        all: The formulas of a search, best first, then those of a file, those given by hand, and hand-made losses.
        remarks: How far a search got, and what could not be read.
    """

    all: tuple[RankedLoss, ...]
    remarks: tuple[str, ...]


def gather(settings: CheckSettings) -> LossesToCheck:
    """Collect the losses that the options name.

    Raises:
        FileNotFoundError: If a search or file is not there.
        ValueError: If there is no loss left to check, or a search, file or the numerics cannot be used.
    """
    sources = LossSources(settings.run, settings.numerics)
    found: dict[str, RankedLoss] = {}
    for each in _named_losses(settings, sources):
        found.setdefault(each.loss.identity, each)
    if not found:
        raise ValueError("; ".join(["there is no formula to check", *sources.remarks]))
    return LossesToCheck(tuple(found.values()), tuple(sources.remarks))


def _named_losses(settings: CheckSettings, sources: LossSources) -> Iterator[RankedLoss]:
    if sources.study is not None:
        yield from _of_study(sources.study, settings.top, sources)
    yield from map(RankedLoss, sources.of_file(settings.file))
    for text in settings.formulas:
        try:
            yield RankedLoss(sources.of_text(text))
        except FormulaError as error:
            shown = shortened(text, _LONGEST_SHOWN)
            sources.remarks.append(f"left out: '{shown}': {error}")
    yield from map(RankedLoss, settings.losses or ())


def _of_study(study: Study, top: int | None, sources: LossSources) -> Iterator[RankedLoss]:
    best = study.candidates if top is None else study.candidates.head(top)
    if best.empty:
        # How many there are is said already of an unfinished search.
        sources.remarks.append(_TO_CONTINUE if study.is_unfinished else f"'{study.root}' holds no trained formula")
    for rank in distinct_ranks(best):
        yield RankedLoss(sources.of_formula(study.formula(rank)), rank)
