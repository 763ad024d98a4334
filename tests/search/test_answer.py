"""The rule of the answer, on scores and contributions of rows that are made up."""

import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from lightning_modules.search.answer import FinalistRun, Validation, bar_of, difference_of, validated_formulas

SEEDS = (7, 8, 9)


def run(name: str, seed: int, score: float | None, components: Tensor | None = None) -> FinalistRun:
    return FinalistRun(name, seed, "trained", score, 3, 1e-3, 0.0, 1.0, components=components)


def runs(name: str, scores: Sequence[float | None], noise: float | None = 0.01, rows: int = 50) -> list[FinalistRun]:
    """Return trainings whose rows contribute independently, with this standard error of each score."""
    generator = torch.Generator().manual_seed(len(name))
    return [
        run(name, seed, score, None if noise is None else noise / math.sqrt(rows) * signs(rows, generator))
        for seed, score in zip(SEEDS, scores, strict=True)
    ]


def signs(rows: int, generator: torch.Generator) -> Tensor:
    return (2 * torch.randint(2, (rows,), generator=generator) - 1).float()


def answer(
    finalists: Mapping[str, Sequence[float | None]], operators: Mapping[str, int] | None = None, noise: float = 1e-4
) -> str | None:
    trained = {name: runs(name, scores, noise) for name, scores in finalists.items()}
    lengths = operators or dict.fromkeys(finalists, 5)
    found = validated_formulas(runs("BCE", [0.7, 0.7, 0.7], noise), trained, lengths)
    chosen = Validation(1, "BCE", 0.7, found).answer
    return None if chosen is None else chosen.formula


def test_the_difference_is_the_mean_over_seeds_and_its_error_that_of_rows_and_seeds() -> None:
    mine, theirs = runs("a", [0.72, 0.75, 0.74], 0.02), runs("BCE", [0.70, 0.71, 0.72], 0.02)
    found = difference_of(mine, theirs)
    assert found is not None
    gaps = torch.tensor([0.02, 0.04, 0.02], dtype=torch.float64)
    parts = torch.stack([a.components - b.components for a, b in zip(mine, theirs, strict=True)]).double()  # type: ignore[operator]
    # All cells of the crossed layout by themselves, as an analysis of variance adds them up.
    covariance = parts @ parts.T
    shared = sum(float(covariance[i, j]) for i in range(3) for j in range(3) if i != j) / 6
    own = float(covariance.diagonal().mean()) - shared
    assert found[0] == pytest.approx(float(gaps.mean()), abs=1e-6)
    assert found[1] == pytest.approx(math.sqrt(max(shared, 0) + max(float(gaps.var()), own) / 3), rel=1e-5)


def test_without_contributions_of_rows_the_error_is_that_of_seeds() -> None:
    found = difference_of(runs("a", [0.72, 0.75, 0.74], None), runs("BCE", [0.70, 0.71, 0.72], None))
    assert found is not None
    assert found[1] == pytest.approx(torch.tensor([0.02, 0.04, 0.02]).std().item() / math.sqrt(3), abs=1e-6)


def test_the_answer_beats_the_baseline_by_more_than_its_error() -> None:
    assert answer({"a": [0.71, 0.72, 0.73]}) == "a"
    assert answer({"a": [0.71, 0.72, 0.73]}, noise=0.5) is None
    assert answer({"a": [0.69, 0.75, 0.69]}) is None
    assert answer({"a": [0.69, 0.68, 0.69]}) is None
    assert answer({}) is None


@pytest.mark.parametrize("count", [1, 3, 10])
def test_the_best_of_any_number_of_level_finalists_seldom_passes_the_bar(count: int) -> None:
    drawn = torch.randn(200_000, count, generator=torch.Generator().manual_seed(count))
    share = float((drawn.amax(dim=1) > bar_of(count)).double().mean())
    # That of a single one by one standard error; Bonferroni's bound is a little higher than the share itself.
    assert 0.14 < share < 0.165


def test_what_beats_the_baseline_as_the_only_finalist_need_not_among_ten() -> None:
    scores = [0.710, 0.722, 0.702]
    assert answer({"a": scores}) == "a"
    others = {name: [0.69, 0.68, 0.69] for name in "bcdefghij"}
    assert answer({"a": scores} | others) is None


def test_of_equals_the_shortest_is_the_answer() -> None:
    scores = {"long": [0.720, 0.724, 0.722], "short": [0.722, 0.720, 0.722], "shorter but worse": [0.711, 0.711, 0.710]}
    operators = {"long": 9, "short": 3, "shorter but worse": 1}
    assert answer(scores, operators) == "short"
    assert answer(scores, {**operators, "short": 9}) == "long"
    del scores["short"]
    assert answer(scores, operators) == "long"


def test_a_short_formula_that_does_not_beat_the_baseline_is_no_equal() -> None:
    scores = {"best": [0.71, 0.73, 0.72], "short": [0.70, 0.70, 0.70]}
    assert answer(scores, {"best": 9, "short": 1}, noise=0.03) in ("best", None)
    assert answer(scores, {"best": 9, "short": 1}) == "best"


def test_a_finalist_without_a_score_with_one_seed_is_never_the_answer() -> None:
    trained = {"a": runs("a", [0.9, None, 0.9]), "b": runs("b", [0.73, 0.72, 0.73], 1e-4)}
    found = validated_formulas(runs("BCE", [0.7, 0.7, 0.7], 1e-4), trained, {"a": 1, "b": 9})
    assert [(each.formula, each.difference is None, each.is_answer) for each in found] == [
        ("a", True, False),
        ("b", False, True),
    ]
