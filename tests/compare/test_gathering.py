from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightning_modules.compare.compared_losses import GIVEN, HAND_MADE, RANDOM, SEARCH, ComparedLosses
from lightning_modules.compare.criteria import AreaUnderCurve
from lightning_modules.compare.gathering import gather
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss, Numerics
from lightning_modules.search.study import loss_of
from tests.compare.compare_helpers import write_study

SQUARE = "(label - pred)**2"
SOUND = [SQUARE, "(label - pred)**2 + pred**2 - pred**2", "exp((label - pred)**2)", "2 * (label - pred)**2"]
#: Turns predictions away from the labels; does not know the label; neither passes the check.
WRONG, BLIND = "-(label - pred)**2", "pred**2"
BOTH = {"strategy": "PPO", "rounds": 1}
BY_CHANCE = {"strategy": {"class_path": "lightning_modules.search.strategies.RandomSearch"}, "rounds": 1}


def gathered(**options: Any) -> ComparedLosses:
    settings = CompareSettings(**{"losses": [], **options})
    return gather(settings, AreaUnderCurve(), points_seed=0)


def named(losses: ComparedLosses, group: str) -> dict[str, str]:
    return {compared.label: compared.title for compared in losses.of(group)}


def written(formula: str) -> str:
    return FormulaLoss(formula).title


def test_the_baseline_is_first_and_everything_is_there_once() -> None:
    losses = gathered(losses=[MSE(), Focal(), MSE(), Focal(gamma=1.0)], baseline=Focal(), formulas=[SQUARE] * 2)
    assert losses.baseline.title == "Focal"
    assert [compared.title for compared in losses.all] == ["Focal", "MSE", "Focal(gamma=1.0)", written(SQUARE)]
    assert [compared.group for compared in losses.all] == [HAND_MADE] * 3 + [GIVEN]
    assert [compared.label for compared in losses.all] == [compared.title for compared in losses.all]
    assert losses.remarks == ()
    assert losses.trained_candidates == 0


def test_by_default_all_pointwise_losses_are_compared_with_bce() -> None:
    losses = gathered(losses=None)
    assert [compared.title for compared in losses.all] == ["BCE", "MSE", "Hinge", "Focal", "MaxR", "SumR", "LogMin"]


def test_a_formula_is_labelled_as_it_was_given_unless_that_is_long() -> None:
    long = " + ".join(["(label - pred)**2"] * 12)
    losses = gathered(formulas=["(Label-Pred)^2", long])
    assert named(losses, GIVEN) == {"(Label-Pred)^2": written(SQUARE), "formula 2": written(long)}


def test_one_formula_written_in_two_ways_is_one_loss() -> None:
    assert len(gathered(formulas=["(label-pred)^2", " ( label - pred )**2"]).all) == 2


def test_of_a_study_the_best_formulas_that_pass_the_check_are_taken(tmp_path: Path) -> None:
    root = write_study(tmp_path, [WRONG, SOUND[0], BLIND, SOUND[1], SOUND[2]], BOTH)
    losses = gathered(study=str(root), top=2)
    assert named(losses, SEARCH) == {"PPO #2": written(SOUND[0]), "PPO #4": written(SOUND[1])}
    assert losses.remarks == ()
    assert losses.trained_candidates == 5


def test_a_formula_of_many_trainings_is_one_survivor(tmp_path: Path) -> None:
    root = write_study(tmp_path, [SOUND[0], SOUND[0], SOUND[2]], BOTH)
    labels = named(gathered(study=str(root), top=2), SEARCH)
    assert labels == {"PPO #1": written(SOUND[0]), "PPO #3": written(SOUND[2])}


def test_failed_candidates_have_a_rank_and_are_not_taken(tmp_path: Path) -> None:
    candidates: list[str | Mapping[str, Any]] = [
        {"formula": SOUND[0], "reward": 0.3, "status": "failed", "error": "boom"},
        {"formula": "MSE", "reward": 0.4, "kind": "reference", "round": 0},
        {"formula": SOUND[1], "reward": 0.1},
        {"formula": SOUND[2], "reward": 0.2, "status": "non-finite"},
    ]
    losses = gathered(study=str(write_study(tmp_path, candidates, BOTH)), top=1)
    assert named(losses, SEARCH) == {"PPO #1": written(SOUND[1])}
    assert losses.trained_candidates == 3


def test_a_study_with_too_few_survivors_is_remarked(tmp_path: Path) -> None:
    losses = gathered(study=str(write_study(tmp_path, [WRONG, SOUND[0]], BOTH)), top=2)
    assert len(losses.of(SEARCH)) == 1
    assert losses.remarks == (f"'{tmp_path}' has only 1 formulas that pass the check",)


@pytest.mark.parametrize("formula", [{"kind": "reference", "round": 0}, {"status": "failed"}])
def test_a_study_without_a_trained_formula_is_refused(tmp_path: Path, formula: dict[str, str]) -> None:
    write_study(tmp_path, [{"formula": "MSE", **formula}], BOTH)
    with pytest.raises(ValueError, match=rf"'{tmp_path}' has no trained formula .* continues it"):
        gathered(study=str(tmp_path))


def test_an_unfinished_study_is_remarked(tmp_path: Path) -> None:
    losses = gathered(study=str(write_study(tmp_path, SOUND, {"strategy": "PPO", "rounds": 9})), top=2)
    assert losses.remarks == (f"'{tmp_path}' is unfinished: 1 of 9 rounds, 4 trained candidates",)


def test_searches_are_held_against_each_other_after_as_many_candidates(tmp_path: Path) -> None:
    rising = [{"formula": formula, "reward": 0.1 * place} for place, formula in enumerate(SOUND)]
    long = write_study(tmp_path / "long", rising, BOTH)
    short = write_study(tmp_path / "short", ["abs(label - pred) + (label - pred)**2", WRONG], BY_CHANCE)
    losses = gathered(study=str(long), random_study=str(short), top=1)
    assert named(losses, SEARCH) == {"PPO #3": written(SOUND[1])}
    assert named(losses, RANDOM) == {"RandomSearch #1": written("abs(label - pred) + (label - pred)**2")}
    assert losses.remarks == (
        f"of '{long}' only the first 2 candidates count, as many as the other search has trained",
    )
    assert losses.trained_candidates == 2


def test_labels_have_the_ranks_of_whole_studies_which_name_the_formulas(tmp_path: Path) -> None:
    # What was trained last is best, and has the first ranks of the whole study alone; MSE has no rank.
    formulas = [SOUND[0], WRONG, SOUND[1], SOUND[2], SOUND[0]]
    rising: list[Mapping[str, Any]] = [
        {"formula": "MSE", "reward": 0.05, "kind": "reference", "round": 0},
        *({"formula": formula, "reward": 0.1 * place} for place, formula in enumerate(formulas)),
    ]
    long = write_study(tmp_path / "long", rising, BOTH)
    short = write_study(tmp_path / "short", [SOUND[3], WRONG, BLIND], BY_CHANCE)
    labels = named(gathered(study=str(long), random_study=str(short), top=2), SEARCH)
    assert labels == {"PPO #3": written(SOUND[1]), "PPO #5": written(SOUND[0])}
    for label, title in labels.items():
        assert loss_of(f"{long}#{label.removeprefix('PPO #')}").title == title  # type: ignore[union-attr]


def test_searches_of_one_size_are_not_remarked(tmp_path: Path) -> None:
    searched = write_study(tmp_path / "one", SOUND[:2], BOTH)
    drawn = write_study(tmp_path / "two", SOUND[:2], BY_CHANCE)
    assert gathered(study=str(searched), random_study=str(drawn), top=1).remarks == ()


def test_a_random_study_that_is_none_is_remarked(tmp_path: Path) -> None:
    roots = [str(write_study(tmp_path / name, SOUND[:2], BOTH)) for name in ("one", "two")]
    losses = gathered(study=roots[0], random_study=roots[1], top=1)
    assert losses.remarks == (f"'{roots[1]}' is no random search: PPO wrote its formulas",)


def test_a_formula_that_is_named_beside_its_study_still_speaks_for_the_study(tmp_path: Path) -> None:
    root = write_study(tmp_path, SOUND, BOTH)
    losses = gathered(study=str(root), formulas=[f"{root}#1", SOUND[3]], top=2)
    assert named(losses, SEARCH) == {"PPO #1": written(SOUND[0]), "PPO #2": written(SOUND[1])}
    assert named(losses, GIVEN) == {written(SOUND[3]): written(SOUND[3])}
    assert len(losses.all) == 4


def test_a_study_whose_formula_is_the_baseline_leaves_it_the_baseline(tmp_path: Path) -> None:
    root = write_study(tmp_path, SOUND[:2], BOTH)
    losses = gathered(study=str(root), baseline=FormulaLoss(SOUND[0]), top=2)
    assert (losses.baseline.title, losses.baseline.group) == (written(SOUND[0]), HAND_MADE)
    assert [compared.group for compared in losses.all] == [HAND_MADE, SEARCH]


def test_a_rank_names_a_formula_with_the_numerics_of_its_study(tmp_path: Path) -> None:
    root = write_study(tmp_path, SOUND, {**BOTH, "numerics": "autolossgen"})
    (_, compared) = gathered(formulas=[f"{root}#2"], numerics="protected").all
    assert isinstance(compared.loss, FormulaLoss)
    assert compared.loss.formula == FormulaLoss(SOUND[1]).formula
    assert compared.loss.numerics == Numerics.named("autolossgen")


@pytest.mark.parametrize(
    ("numerics", "with_study", "expected"),
    [(None, True, "autolossgen"), ("protected", True, "protected"), (None, False, "protected")],
)
def test_formulas_given_as_text_have_the_numerics_of_the_option_or_else_of_the_study(
    tmp_path: Path, numerics: str | None, with_study: bool, expected: str
) -> None:
    root = write_study(tmp_path, SOUND[:1], {**BOTH, "numerics": "autolossgen"})
    study = str(root) if with_study else None
    losses = gathered(formulas=["exp((label - pred)**2)"], numerics=numerics, study=study, top=1)
    (compared,) = losses.of(GIVEN)
    assert isinstance(compared.loss, FormulaLoss)
    assert compared.loss.numerics == Numerics.named(expected)


def test_a_file_gives_formulas_and_its_problems_are_remarked(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(f"# mine\n{SQUARE}\npred +\nexp((label - pred)**2)\n")
    losses = gathered(file=str(path), formulas=[SQUARE])
    assert list(named(losses, GIVEN)) == [written(SQUARE), written("exp((label - pred)**2)")]
    (remark,) = losses.remarks
    assert "mine.txt, line 3" in remark


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"study": "absent"}, FileNotFoundError, "'absent' holds no study"),
        ({"file": "absent.txt"}, FileNotFoundError, "absent.txt"),
        ({"formulas": ["absent#1"]}, FileNotFoundError, "'absent' holds no study"),
        ({"formulas": ["pred +"]}, ValueError, "pred +"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as raised:
        gathered(**options)
    assert text in str(raised.value)


def test_a_hand_made_loss_that_is_the_baseline_too_is_there_once() -> None:
    assert [compared.title for compared in gathered(losses=[MSE(), BCE()]).all] == ["BCE", "MSE"]
