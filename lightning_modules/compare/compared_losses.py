"""The losses of a comparison, collected from the options that name them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from lightning_modules.check import checked
from lightning_modules.check.sources import LossSources, distinct_ranks
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import FormulaBased, LossObject
from lightning_modules.search.study import Study

#: The groups of losses.
GROUPS = SEARCH, RANDOM, HAND_MADE, GIVEN = "search", "random search", "hand-made", "given"
#: Longer formulas are numbered in tables and pictures.
_LONGEST_LABEL = 30


@dataclass(frozen=True)
class ComparedLoss:
    """One loss of a comparison.

    Attributes:
        loss: The loss.
        label: A short name for tables and pictures.
        group: ``hand-made``, ``given``, ``search`` or ``random search``.
    """

    loss: LossObject
    label: str
    group: str

    @property
    def title(self) -> str:
        """The text that identifies the loss in the files of the comparison."""
        return self.loss.identity


@dataclass(frozen=True)
class ComparedLosses:
    """All losses of a comparison, the baseline first.

    Attributes:
        all: The losses, each once.
        remarks: What a reader must know of how they were chosen.
        trained_candidates: Trained candidates of each study that count; 0 without a study.
    """

    all: tuple[ComparedLoss, ...]
    remarks: tuple[str, ...]
    trained_candidates: int = 0

    @property
    def baseline(self) -> ComparedLoss:
        """The loss that all others are compared with."""
        return self.all[0]

    def of(self, group: str) -> tuple[ComparedLoss, ...]:
        """Return the losses of one group."""
        return tuple(compared for compared in self.all if compared.group == group)


def gather(settings: CompareSettings, criterion: Criterion, *, points_seed: int) -> ComparedLosses:
    """Collect the losses that the options name, each once.

    Args:
        settings: The options.
        criterion: What the losses are compared by.
        points_seed: Seed of the points that a study's formulas are checked on.

    Raises:
        FileNotFoundError: If a study or file is not there.
        ValueError: If a formula, file or study cannot be used.
    """
    sources = LossSources(settings.study, settings.numerics)
    searched = _SearchedLosses(settings, sources, points_seed)
    found: dict[str, ComparedLoss] = {}
    for compared in (*_hand_made(settings, criterion), *_given(settings, sources), *searched.all()):
        # A formula of a study that is given by hand too belongs to its study.
        if found.setdefault(compared.title, compared).group == GIVEN:
            found[compared.title] = compared
    return ComparedLosses(tuple(found.values()), tuple(sources.remarks), searched.trained_candidates)


def _hand_made(settings: CompareSettings, criterion: Criterion) -> Iterator[ComparedLoss]:
    baseline, *others = criterion.default_losses()
    baseline = baseline if settings.baseline is None else settings.baseline
    for loss in (baseline, *(others if settings.losses is None else settings.losses)):
        yield ComparedLoss(loss, loss.title, HAND_MADE)


def _given(settings: CompareSettings, sources: LossSources) -> Iterator[ComparedLoss]:
    texts = [(sources.of_text(text), text) for text in settings.formulas]
    in_file = [(loss, loss.title) for loss in sources.of_file(settings.file)]
    for number, (loss, text) in enumerate([*texts, *in_file], 1):
        yield ComparedLoss(loss, text if len(text) <= _LONGEST_LABEL else f"formula {number}", GIVEN)


class _SearchedLosses:
    """The best formulas of the search and of random search, after as many trained candidates."""

    def __init__(self, settings: CompareSettings, sources: LossSources, points_seed: int) -> None:
        self.top = settings.top
        self.sources = sources
        self.points_seed = points_seed
        self.studies: dict[str, Study] = {}
        if sources.study is not None:
            self.studies[SEARCH] = sources.study
        if settings.random_study is not None:
            self.studies[RANDOM] = self._random_study(settings.random_study)
        self.trained_candidates = min((study.num_candidates for study in self.studies.values()), default=0)

    def all(self) -> Iterator[ComparedLoss]:
        for group, study in self.studies.items():
            if study.num_candidates > self.trained_candidates:
                self.sources.remarks.append(
                    f"of '{study.root}' only the first {self.trained_candidates} candidates count, as many as the "
                    "other search has trained"
                )
            yield from self._best_of(study.limited_to(self.trained_candidates), group)

    def _best_of(self, study: Study, group: str) -> Iterator[ComparedLoss]:
        found = 0
        for rank, loss in self._passing_check(study):
            yield ComparedLoss(loss, f"{study.strategy or 'study'} #{rank}", group)
            found += 1
            if found == self.top:
                return
        self.sources.remarks.append(f"'{study.root}' has only {found} formulas that pass the check")

    def _passing_check(self, study: Study) -> Iterable[tuple[int, FormulaBased]]:
        answers = {*study.candidates.loc[study.candidates["is_answer"], "rank"]}
        for rank in distinct_ranks(study.validated_first):
            loss = study.loss(rank)
            # What was trained to convergence and won has shown more than a check can.
            if rank in answers or checked(loss, generator=self._points()).keep:
                yield rank, loss

    def _points(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.points_seed)

    def _random_study(self, root: str) -> Study:
        study = self.sources.read(root)
        if study.strategy not in ("RandomSearch", ""):
            self.sources.remarks.append(f"'{root}' is no random search: {study.strategy} wrote its formulas")
        return study
