"""Gathers the losses of a comparison from the options that name them."""

from collections.abc import Iterator, Sequence

import torch

from lightning_modules.check.sources import LossSources
from lightning_modules.compare.compared_losses import (
    GIVEN,
    HAND_MADE,
    RANDOM,
    SEARCH,
    ComparedLoss,
    ComparedLosses,
    SearchedLosses,
)
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.named_searches import NamedSearch, is_repeated, named_searches
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.search.study import named_study
from lightning_modules.training.statuses import TRAINED

#: Longer formulas are numbered in tables and pictures.
_LONGEST_LABEL = 30


def gather(settings: CompareSettings, criterion: Criterion, *, points_seed: int) -> ComparedLosses:
    """Gather the losses that the options name, each once.

    Args:
        settings: The options.
        criterion: What the losses are compared by.
        points_seed: Seed of the points that a study's formulas are checked on.

    Raises:
        FileNotFoundError: If a study or file is not there.
        ValueError: If a formula, file or study cannot be used.
    """
    first = next((named_study(text)[0] for text in settings.studies), None)
    sources = LossSources(first, settings.numerics)
    named = named_searches({SEARCH: settings.studies, RANDOM: settings.random_studies}, sources)
    _refuse_empty(named)
    sources.remarks.extend(_no_random_searches(named))
    searches = _searched(named, settings.top, sources.remarks, torch.Generator().manual_seed(points_seed))
    found: dict[str, ComparedLoss] = {}
    of_searches = (loss for search in searches for loss in search.losses)
    for compared in (*_hand_made(settings, criterion), *_given(settings, sources), *of_searches):
        # A formula of a study that is given by hand too belongs to its study.
        if found.setdefault(compared.title, compared).group == GIVEN:
            found[compared.title] = compared
    trained = min((search.candidates for search in named), default=0)
    return ComparedLosses(tuple(found.values()), tuple(sources.remarks), trained, searches)


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


def _refuse_empty(searches: Sequence[NamedSearch]) -> None:
    for each in searches:
        if not (each.study.candidates["status"] == TRAINED).any():
            raise ValueError(
                f"'{each.study.root}' has no trained formula that could be compared. The command of its search, given "
                "again, continues it; or leave the study out"
            )


def _no_random_searches(searches: Sequence[NamedSearch]) -> Iterator[str]:
    for each in searches:
        if each.arm == RANDOM and each.study.strategy not in ("RandomSearch", ""):
            yield f"'{each.study.root}' is no random search: {each.study.strategy} wrote its formulas"


def _searched(
    searches: Sequence[NamedSearch], top: int, remarks: list[str], points: torch.Generator
) -> tuple[SearchedLosses, ...]:
    repeated, result = is_repeated(searches), []
    for search, name in zip(searches, _names(searches), strict=True):
        own = name if repeated else search.study.strategy or "study"
        # Of a single search the formulas are compared, whatever its answer.
        keeps_baseline = repeated and search.found_nothing
        found = () if keeps_baseline else search.formulas(points, top)
        losses = tuple(ComparedLoss(loss, f"{own} #{rank}", search.arm) for rank, loss in found)
        if len(losses) < top and not (search.place or keeps_baseline):
            remarks.append(f"'{search.study.root}' has only {len(losses)} formulas that pass the check")
        result.append(
            SearchedLosses(name, search.arm, losses, search.candidates, search.finalists, search.found_nothing)
        )
    return tuple(result)


def _names(searches: Sequence[NamedSearch]) -> list[str]:
    """Return the names of the searches' folders, or their paths where these are not different."""
    names = [search.study.root.name for search in searches]
    return names if len({*names}) == len(names) else [str(search.study.root) for search in searches]
