"""Several searches: which formulas stand for each, and what is refused or remarked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lightning_modules.compare.compared_losses import SEARCH
from lightning_modules.search.answer import ValidatedFormula
from tests.compare.compare_helpers import write_study
from tests.compare.test_gathering import BOTH, BY_CHANCE, SOUND, WRONG, gathered, written

MODEL = {"class_path": "BiasedMF", "init_args": {"embedding_dim": 4, "loss": "BCE"}}
FINGERPRINT = {"splits": {"train": {"rows": 5, "unordered": "ab", "columns": {"user": "cd"}}}, "names": {}}


def studies(root: Path, *formulas: Sequence[Any], strategy: Any = BOTH, **options: Any) -> list[str]:
    """Write a study of each list of formulas, the first one into ``a``, and return their folders."""
    folders = [root / letter for letter in "abcdef"[: len(formulas)]]
    return [str(write_study(*each, strategy, **options)) for each in zip(folders, formulas, strict=True)]


def of_finalists(formula: str, *, is_answer: bool) -> dict[str, Any]:
    return {"validated": [ValidatedFormula(formula, 0.01, 0.001, is_answer)]}


def test_every_search_gives_its_best_formulas_under_the_name_of_its_folder(tmp_path: Path) -> None:
    first, second = studies(tmp_path, SOUND[:2], [WRONG, SOUND[2]])
    losses = gathered(study=[first, second], top=1)
    assert [(each.name, each.arm, len(each.losses)) for each in losses.searches] == [("a", SEARCH, 1), ("b", SEARCH, 1)]
    assert [each.label for each in losses.of(SEARCH)] == ["a #1", "b #2"]
    assert losses.remarks == ()
    assert losses.has_repeated_searches


def test_folders_of_one_name_are_named_by_their_paths(tmp_path: Path) -> None:
    roots = [str(write_study(tmp_path / seed / "run", SOUND[: int(seed)], BOTH)) for seed in ("1", "2")]
    assert [each.name for each in gathered(study=roots, top=1).searches] == roots


def test_a_search_that_found_nothing_has_no_formula_unless_one_is_named(tmp_path: Path) -> None:
    (first,) = studies(tmp_path / "one", SOUND[:2])
    (nothing,) = studies(tmp_path / "two", SOUND[2:4], **of_finalists(SOUND[2], is_answer=False))
    for place in ("", "#answer"):
        search = gathered(study=[first, nothing + place], top=1).searches[1]
        assert (search.losses, search.found_nothing, search.finalists) == ((), True, 1)
    search = gathered(study=[first, f"{nothing}#2"], top=1).searches[1]
    assert [each.title for each in search.losses] == [written(SOUND[3])]
    # A single one is compared all the same.
    assert len(gathered(study=nothing, top=1).of(SEARCH)) == 1


def test_a_place_names_the_formula_that_stands_for_a_search(tmp_path: Path) -> None:
    (first,) = studies(tmp_path / "one", SOUND[:3], **of_finalists(SOUND[2], is_answer=True))
    (second,) = studies(tmp_path / "two", [SOUND[1], WRONG])
    losses = gathered(study=[f"{first}#answer", f"{second}#2"], top=3)
    assert [[each.title for each in search.losses] for search in losses.searches] == [
        [written(SOUND[2])],
        [written(WRONG)],
    ]
    assert losses.remarks[-1] == f"'{first}#answer' is of 3 candidates, and the other search has trained 2"
    (single,) = gathered(study=f"{first}#front:4", top=3).searches
    assert len(single.losses) == 1


def test_a_formula_that_two_searches_found_is_trained_once_and_stands_for_both(tmp_path: Path) -> None:
    losses = gathered(study=studies(tmp_path, SOUND[:1], [SOUND[0], WRONG]), top=1)
    assert len(losses.of(SEARCH)) == 1
    assert [each.losses[0].title for each in losses.searches] == [written(SOUND[0])] * 2


def test_unequal_searches_are_remarked(tmp_path: Path) -> None:
    (short,) = studies(tmp_path / "one", SOUND[:1], **of_finalists(SOUND[0], is_answer=True))
    (long,) = studies(tmp_path / "two", SOUND[1:3], strategy={"strategy": "Evolution", "rounds": 1})
    finalists, strategies, shorter = gathered(study=[short, long], top=1).remarks
    assert shorter == f"of '{long}' only the first 1 candidates count, as many as the other search has trained"
    assert finalists.startswith(f"the searches have not the same number of finalists ('{short}' 1, '{long}' 0)")
    assert "several strategies (PPO, Evolution)" in strategies


def test_a_study_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    first, second = studies(tmp_path, SOUND[:1], SOUND[1:2])
    for named in ({"study": [first, second, f"{first}/"]}, {"study": first, "random_study": [f"{first}#1"]}):
        with pytest.raises(ValueError, match="is named twice"):
            gathered(**named)


def test_a_search_that_is_another_one_again_is_refused_within_an_arm(tmp_path: Path) -> None:
    roots = studies(tmp_path, SOUND[:2], SOUND[:2])
    with pytest.raises(ValueError, match=r"hold the same candidates .* a seed of its own"):
        gathered(study=roots)
    (other,) = studies(tmp_path / "more", SOUND[1:3], strategy=BY_CHANCE)
    drawn = studies(tmp_path / "random", SOUND[:2], strategy=BY_CHANCE)
    assert len(gathered(study=[roots[0], other], random_study=drawn, top=1).searches) == 3


def test_searches_of_other_models_or_data_are_refused(tmp_path: Path) -> None:
    fitted = {**MODEL, "init_args": {**MODEL["init_args"], "loss": "MSE"}}  # type: ignore[dict-item]
    (first,) = studies(tmp_path / "one", SOUND[:1], model=MODEL)
    (same,) = studies(tmp_path / "two", SOUND[1:2], model=fitted)
    (wider,) = studies(tmp_path / "three", SOUND[2:3], model={**MODEL, "init_args": {"embedding_dim": 8}})
    assert len(gathered(study=[first, same], top=1).searches) == 2
    with pytest.raises(ValueError, match=r"is no repetition of .*embedding_dim was 4 and is 8.*one at a time"):
        gathered(study=[first, wider])
    for folder, rows in ((first, 5), (same, 6)):
        splits = {"train": {**FINGERPRINT["splits"]["train"], "rows": rows}}
        Path(folder, "data.json").write_text(json.dumps({**FINGERPRINT, "splits": splits}))
    with pytest.raises(ValueError, match="6 rows in place of 5"):
        gathered(study=[first, same])
    Path(same, "data.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be read as the fingerprint of data"):
        gathered(study=[first, same])


def test_a_study_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'absent' holds no study"):
        gathered(study=[*studies(tmp_path, SOUND[:1]), "absent"])
