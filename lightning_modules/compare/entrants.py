"""The losses of a comparison, from wherever they are named."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from lightning_modules.check import check_loss, read_formulas
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import FormulaLoss, Loss
from lightning_modules.search.settings import hand_made_losses
from lightning_modules.search.study import Study, loss_of, numerics_of

HAND_MADE, GIVEN, SEARCH, RANDOM = "hand-made", "given", "search", "random search"
#: Longer formulas are numbered in tables and pictures.
_LONGEST_LABEL = 30


@dataclass(frozen=True)
class Entrant:
    """One loss of a comparison.

    Attributes:
        loss: The loss.
        label: A short name for tables and pictures.
        group: ``hand-made``, ``given``, ``search`` or ``random search``.
    """

    loss: Loss
    label: str
    group: str

    @property
    def title(self) -> str:
        """The text that the files know the loss by."""
        return self.loss.identity


@dataclass(frozen=True)
class Entrants:
    """All losses of a comparison, the baseline first.

    Attributes:
        all: One entrant a loss.
        remarks: What is to be told about how they were chosen.
        budget: Trained candidates of each study that count; 0 without a study.
    """

    all: tuple[Entrant, ...]
    remarks: tuple[str, ...]
    budget: int = 0

    @property
    def baseline(self) -> Entrant:
        """The loss that all others are compared with."""
        return self.all[0]

    def of(self, group: str) -> tuple[Entrant, ...]:
        """Return the entrants of one group."""
        return tuple(entrant for entrant in self.all if entrant.group == group)


def gather(settings: CompareSettings, *, points_seed: int) -> Entrants:
    """Collect the losses that the options name, each once.

    Args:
        settings: The options.
        points_seed: Seed of the points that a study's formulas are checked on.

    Raises:
        FileNotFoundError: If a study or file is not there.
        ValueError: If a formula, file or study cannot be used.
    """
    gathering = _EntrantSources(settings, points_seed)
    found: dict[str, Entrant] = {}
    for entrant in gathering.entrants():
        if found.setdefault(entrant.title, entrant).group == GIVEN:
            # A study's formula speaks for the study also where it is named beside it.
            found[entrant.title] = entrant
    return Entrants(tuple(found.values()), tuple(gathering.remarks), gathering.budget)


class _EntrantSources:
    def __init__(self, settings: CompareSettings, points_seed: int) -> None:
        self.settings = settings
        self.points_seed = points_seed
        self.remarks: list[str] = []
        self.study = self._read(settings.study)
        self.random_study = self._read(settings.random_study)
        self.numerics = numerics_of(settings.numerics, self.study)

    def entrants(self) -> Iterator[Entrant]:
        settings = self.settings
        losses = hand_made_losses() if settings.losses is None else settings.losses
        for loss in (settings.named_baseline, *losses):
            yield Entrant(loss, loss.title, HAND_MADE)
        for number, (loss, text) in enumerate(self._given(), 1):
            yield Entrant(loss, text if len(text) <= _LONGEST_LABEL else f"formula {number}", GIVEN)
        yield from self._studies()

    def _given(self) -> Iterator[tuple[Loss, str]]:
        for text in self.settings.formulas:
            yield loss_of(text) or FormulaLoss(text, self.numerics), text
        if self.settings.file is not None:
            file = read_formulas(self.settings.file)
            self.remarks.extend(file.remarks)
            yield from ((FormulaLoss(formula, self.numerics), str(formula)) for formula in file.formulas)

    def _studies(self) -> Iterator[Entrant]:
        for group, study in self._by_group().items():
            if study.num_candidates > self.budget:
                self.remarks.append(
                    f"of '{study.root}' only the first {self.budget} candidates count, for equal budgets"
                )
            yield from self._best_of(study.limited_to(self.budget), group)

    @property
    def budget(self) -> int:
        return min((study.num_candidates for study in self._by_group().values()), default=0)

    def _by_group(self) -> dict[str, Study]:
        studies = {SEARCH: self.study, RANDOM: self.random_study}
        return {group: study for group, study in studies.items() if study is not None}

    def _best_of(self, study: Study, group: str) -> Iterator[Entrant]:
        found = 0
        for rank, loss in self._survivors(study):
            yield Entrant(loss, f"{study.strategy or 'study'} #{rank}", group)
            found += 1
            if found == self.settings.top:
                return
        self.remarks.append(f"'{study.root}' has only {found} formulas that pass the check")

    def _survivors(self, study: Study) -> Iterable[tuple[int, FormulaLoss]]:
        trained = study.candidates[study.candidates["status"] == "trained"]
        # A formula that was trained several times is one loss.
        for rank in trained.loc[~trained["formula"].duplicated(), "rank"]:
            loss = study.loss(rank)
            if check_loss(loss, generator=torch.Generator().manual_seed(self.points_seed)).keep:
                yield int(rank), loss

    def _read(self, root: str | None) -> Study | None:
        if root is None:
            return None
        study = Study.read(root)
        if root == self.settings.random_study and study.strategy not in ("RandomSearch", ""):
            self.remarks.append(f"'{root}' is no random search: {study.strategy} wrote its formulas")
        if study.is_unfinished:
            self.remarks.append(f"'{root}' is unfinished: {study.progress}")
        return study
