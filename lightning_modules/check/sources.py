"""The losses of a check, from wherever they are named."""

from collections.abc import Iterator
from dataclasses import dataclass

from lightning_modules.check.formula_file import read_formulas
from lightning_modules.check.settings import CheckSettings
from lightning_modules.losses import Formula, FormulaError, FormulaLoss, Loss
from lightning_modules.search.study import Study, loss_of, numerics_of

_LONGEST_SHOWN = 100


@dataclass(frozen=True)
class Source:
    """One loss to check.

    Attributes:
        loss: The loss.
        rank: Its rank in the search that found it, if one did.
    """

    loss: Loss
    rank: int | None = None


@dataclass(frozen=True)
class Sources:
    """All losses to check, each once.

    Attributes:
        all: The formulas of a search, best first, then those of a file, those given by hand, and hand-made losses.
        remarks: What is to be told about them: how far a search got, and what could not be read.
    """

    all: tuple[Source, ...]
    remarks: tuple[str, ...]


def gather(settings: CheckSettings) -> Sources:
    """Collect the losses that the options name.

    Raises:
        FileNotFoundError: If a search or file is not there.
        ValueError: If there is no loss left to check, or a search, file or the numerics cannot be used.
    """
    gathering = _CheckSources(settings)
    found: dict[str, Source] = {}
    for source in gathering.sources():
        found.setdefault(source.loss.identity, source)
    if not found:
        raise ValueError("; ".join(["there is no formula to check", *gathering.remarks]))
    return Sources(tuple(found.values()), tuple(gathering.remarks))


class _CheckSources:
    def __init__(self, settings: CheckSettings) -> None:
        self.settings = settings
        self.remarks: list[str] = []
        self.study = Study.read(settings.run) if settings.run else None
        self.numerics = numerics_of(settings.numerics, self.study)

    def sources(self) -> Iterator[Source]:
        if self.study is not None:
            yield from self._of_study(self.study)
        if self.settings.file is not None:
            yield from self._of_file(self.settings.file)
        yield from self._given()
        yield from (Source(loss) for loss in self.settings.losses or ())

    def _of_study(self, study: Study) -> Iterator[Source]:
        if study.is_unfinished:
            self.remarks.append(f"'{study.root}' is unfinished: {study.progress}")
        best = study.candidates if self.settings.top is None else study.candidates.head(self.settings.top)
        if best.empty:
            self.remarks.append(f"'{study.root}' holds no trained formula")
        # A text that comes again is the same loss, and a ledger may hold very many.
        for rank in best.loc[~best["formula"].duplicated(), "rank"].tolist():
            yield Source(self._loss(study.formula(rank)), rank)

    def _of_file(self, path: str) -> Iterator[Source]:
        file = read_formulas(path)
        self.remarks.extend(file.remarks)
        yield from (Source(self._loss(formula)) for formula in file.formulas)

    def _given(self) -> Iterator[Source]:
        for text in self.settings.formulas:
            try:
                yield Source(loss_of(text) or self._loss(text))
            except FormulaError as error:
                shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
                self.remarks.append(f"left out: '{shown}': {error}")

    def _loss(self, formula: Formula | str) -> FormulaLoss:
        return FormulaLoss(formula, self.numerics)
