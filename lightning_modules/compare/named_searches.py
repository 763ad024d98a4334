"""The searches that a comparison audits, as they are named; those that are no repetitions of each other are refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch

from lightning_modules.check import checked
from lightning_modules.check.sources import LossSources, distinct_ranks
from lightning_modules.core.run_config import other_beginnings
from lightning_modules.losses import FormulaBased
from lightning_modules.search.study import Study, named_study
from lightning_modules.utilities.messages import listed

_SHOWN = 3
_ANSWER = "answer"


@dataclass(frozen=True)
class NamedSearch:
    """A search as the user names it.

    Attributes:
        whole: Its study.
        study: The same; of a search without a place, as it was after the candidates that count.
        arm: The group of its formulas.
        place: The place of the formula that stands for it, such as ``2``; empty for its best ones.
        candidates: Number of all its trained candidates.
        finalists: Number of its formulas that were trained to convergence.
        found_nothing: Whether its answer is that nothing beats the baseline.
    """

    whole: Study
    study: Study
    arm: str
    place: str
    candidates: int
    finalists: int
    found_nothing: bool

    @classmethod
    def of(cls, study: Study, arm: str, place: str) -> "NamedSearch":
        """Return the search of a study."""
        found_nothing = study.found_nothing and place in ("", _ANSWER)
        return cls(study, study, arm, place, study.num_candidates, study.num_finalists, found_nothing)

    def formulas(self, points: torch.Generator, limit: int) -> Iterator[tuple[int, FormulaBased]]:
        """Yield the formulas that may stand for it with their ranks in the whole study, the answer first.

        Args:
            points: Source of the points that formulas are checked on.
            limit: The largest number of formulas.

        Raises:
            ValueError: If there is none at the place that was named.
        """
        if self.place:
            rank = self.study.rank_at(self.place)
            yield rank, self.study.loss(rank)
            return
        yield from self._best(points, limit)

    def _best(self, points: torch.Generator, limit: int) -> Iterator[tuple[int, FormulaBased]]:
        seed = points.initial_seed()
        answers = {*self.study.candidates.loc[self.study.candidates["is_answer"], "rank"]}
        for rank in distinct_ranks(self.study.validated_first):
            loss = self.study.loss(rank)
            # What was trained to convergence and won has shown more than a check can.
            if rank in answers or checked(loss, generator=points.manual_seed(seed)).keep:
                yield self._rank_in_whole(rank), loss
                limit -= 1
            if not limit:
                return

    def _rank_in_whole(self, rank: int) -> int:
        # A study that was cut has ranks of its own, which name other formulas in its folder.
        trained = self.study.candidates["id"].iloc[rank - 1]
        return int(self.whole.candidates.set_index("id").loc[trained, "rank"])


def named_searches(named: Mapping[str, Sequence[str]], sources: LossSources) -> tuple[NamedSearch, ...]:
    """Read the searches of every arm, with remarks on what differs between them.

    Of all searches as many candidates count as the shortest has trained.

    Args:
        named: The folders, or references such as ``RUN#2``, of every arm.
        sources: Reads studies, and collects the remarks.

    Raises:
        FileNotFoundError: If a study is not there.
        ValueError: If a study cannot be used, is named twice, or several are no repetitions of one search.
    """
    places = [(arm, *named_study(text)) for arm, texts in named.items() for text in texts]
    _refuse_named_twice([root for _, root, _ in places])
    found = [NamedSearch.of(sources.study_of(root), arm, place) for arm, root, place in places]
    if is_repeated(found):
        _refuse_same(found)
        _refuse_others(found)
        sources.remarks.extend(_unequal(found))
    return tuple(_of_equal_length(found, sources.remarks))


def is_repeated(searches: Sequence[NamedSearch]) -> bool:
    """Return whether an arm has several searches."""
    return len(searches) > len({each.arm for each in searches})


def _refuse_named_twice(roots: Sequence[str]) -> None:
    paths = [Path(root).resolve() for root in roots]
    for root, path in zip(roots, paths, strict=True):
        if paths.count(path) > 1:
            raise ValueError(
                f"the study '{root}' is named twice, and counts as one search: name another, or name it once"
            )


def _refuse_same(searches: Sequence[NamedSearch]) -> None:
    """Refuse a search that is another one again: with one seed, both find the same."""
    for one, other in combinations(searches, 2):
        found = [each.study.candidates[["formula", "reward"]].to_numpy().tolist() for each in (one, other)]
        if one.arm == other.arm and found[0] == found[1] != []:
            raise ValueError(
                f"'{one.study.root}' and '{other.study.root}' hold the same candidates with the same rewards, so that "
                "they are one search: give every search a seed of its own (--seed_everything)"
            )


def _refuse_others(searches: Sequence[NamedSearch]) -> None:
    first, *others = (each.study.root for each in searches)
    for root in others:
        if differences := other_beginnings(first, root):
            raise ValueError(
                f"'{root}' is no repetition of '{first}', whose model or data are others: "
                f"{listed(differences, _SHOWN)}. Compare them one at a time"
            )


def _unequal(searches: Sequence[NamedSearch]) -> Iterator[str]:
    """Yield what makes searches unequal that are to count alike."""
    finalists = {str(each.study.root): each.finalists for each in searches}
    if len({*finalists.values()}) > 1:
        counts = ", ".join(f"'{root}' {count}" for root, count in finalists.items())
        yield (
            f"the searches have not the same number of finalists ({counts}): one with more has looked at the "
            "validation rows more often"
        )
    for arm in {each.arm: None for each in searches}:
        strategies = dict.fromkeys(each.study.strategy or "unknown" for each in searches if each.arm == arm)
        if len(strategies) > 1:
            yield f"the searches of one arm are of several strategies ({', '.join(strategies)}): its mean is over these"


def _of_equal_length(searches: Sequence[NamedSearch], remarks: list[str]) -> Iterator[NamedSearch]:
    shortest = min((each.candidates for each in searches), default=0)
    other = "the other search has" if len(searches) == 2 else "the shortest search has"
    for each in searches:
        root = each.study.root
        if each.candidates > shortest and each.place:
            remarks.append(f"'{root}#{each.place}' is of {each.candidates} candidates, and {other} trained {shortest}")
        elif each.candidates > shortest:
            remarks.append(f"of '{root}' only the first {shortest} candidates count, as many as {other} trained")
        yield each if each.place else replace(each, study=each.study.limited_to(shortest))
