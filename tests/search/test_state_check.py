"""What only looks like a state is told from one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.losses import Numerics
from lightning_modules.search.history import SearchHistory
from lightning_modules.search.screening import Screening
from lightning_modules.search.snapshots import Snapshots, check_state
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies import PPO
from tests.search.observer_helpers import candidate


def parts() -> dict[str, Any]:
    space = SearchSpace()
    return {
        "findings": SearchHistory(5),
        "strategy": PPO(space, torch.Generator().manual_seed(0)),
        "screening": Screening(space, Numerics(), torch.Generator().manual_seed(0)),
    }


def check(state: Any) -> None:
    check_state(state, parts())


@pytest.fixture
def state() -> dict[str, Any]:
    new = parts()
    new["findings"].add(candidate())
    stored = {name: part.state_dict() for name, part in new.items()}
    return {"rounds": 1, "warm_up": 0, "schedule": {"origin": 3}, **stored}


def test_a_state_is_taken(state: dict[str, Any]) -> None:
    check(state)


@pytest.mark.parametrize("value", ["x", None, [1], {"a": 1}, torch.zeros(2), -5], ids=str)
@pytest.mark.parametrize("key", ["rounds", "warm_up", "schedule", "findings", "strategy", "screening"])
def test_a_part_of_another_kind_is_refused(state: dict[str, Any], key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"state|strategy|findings|screening"):
        check(state | {key: value})


@pytest.mark.parametrize("key", ["rounds", "warm_up", "schedule", "findings", "strategy", "screening"])
def test_a_missing_part_is_refused(state: dict[str, Any], key: str) -> None:
    del state[key]
    with pytest.raises(ValueError, match=key):
        check(state)


@pytest.mark.parametrize("value", [[], 7, "x", torch.zeros(2)], ids=str)
def test_what_is_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="the state is a"):
        check(value)


@pytest.mark.parametrize(
    "change", [{"reward": "much"}, {"round": 1.5}, {"formula": None}, {"error": 7}, {"more": 1}], ids=str
)
def test_a_candidate_of_other_fields_is_refused(state: dict[str, Any], change: Mapping[str, Any]) -> None:
    state["findings"]["candidates"][0] |= change
    with pytest.raises(ValueError, match=next(iter(change))):
        check(state)


@pytest.mark.parametrize(
    "broken",
    [lambda state: [], lambda state: state | {"rounds": "x"}, lambda state: {"rounds": 1}],
    ids=["a list", "no number", "one part"],
)
def test_a_newest_state_that_is_none_falls_back(
    state: dict[str, Any], broken: Callable[[Any], Any], tmp_path: Path
) -> None:
    states = Snapshots(tmp_path, check=check)
    states.offer(lambda: state, needed=True)
    states.offer(lambda: broken(state), needed=True)
    with pytest.warns(UserWarning, match=r"000002.pt' cannot be read as a state .*goes on from the state before it"):
        found = states.newest()
    assert found is not None
    assert found["rounds"] == 1
