"""Results of longer trainings replace the rewards that strategies remember."""

from typing import Any

import pytest
import torch

from lightning_modules.search.strategies import PPO, RandomSearch, RegularizedEvolution
from lightning_modules.search.strategies.memory import Elites
from lightning_modules.search.strategies.surrogate import Surrogate
from tests.search.search_helpers import (
    PREDICTION,
    REVERSED_ERROR,
    SQUARED_ERROR,
    equal,
    full_space,
    seeded,
    told,
    written,
)

SPACE = full_space()
PROGRAMS = written(SPACE, SQUARED_ERROR, REVERSED_ERROR, PREDICTION)
OUTCOME = told(PROGRAMS, torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64))
#: The second program was worth more than its reward said; nothing has the signature 9.
SIGNATURE, REWARD = torch.tensor([9, 1]), torch.tensor([7.0, 0.5], dtype=torch.float64)


def test_elites_are_sorted_anew() -> None:
    elites = Elites(2)
    elites.revise(SIGNATURE, REWARD)
    elites.update(OUTCOME)
    elites.revise(SIGNATURE, REWARD)
    assert elites.rewards.tolist() == [0.5, 0.3]
    assert elites.programs is not None
    assert equal(elites.programs, PROGRAMS[torch.tensor([1, 0])])
    elites.revise(SIGNATURE[:0], REWARD[:0])
    assert elites.rewards.tolist() == [0.5, 0.3]


def test_the_surrogate_predicts_from_what_was_revised() -> None:
    surrogate = Surrogate()
    outcome = told(PROGRAMS, OUTCOME.reward)
    outcome.screened.gradient[:] = torch.eye(4, dtype=torch.float64)[:3]
    surrogate.update(outcome)
    assert surrogate.predict(outcome.screened.gradient).mean.argsort().tolist() == [2, 1, 0]
    surrogate.revise(SIGNATURE, REWARD)
    assert surrogate.predict(outcome.screened.gradient).mean.argsort().tolist() == [2, 0, 1]


def test_members_of_a_population_have_what_was_revised() -> None:
    strategy = RegularizedEvolution(SPACE, seeded(), population_size=3)
    strategy.tell(OUTCOME)
    strategy.revise(SIGNATURE, REWARD)
    members = strategy.state_dict()["members"]
    assert [member[2] for member in members] == [0.3, 0.5, 0.1]
    assert [member[3] for member in members] == [0, 1, 2]


@pytest.mark.parametrize("kind", [PPO, RegularizedEvolution, RandomSearch])
def test_a_state_holds_what_was_revised_and_one_without_signatures_is_taken(kind: Any) -> None:
    strategy, other = kind(SPACE, seeded()), kind(SPACE, seeded(1))
    strategy.ask(3)
    strategy.tell(OUTCOME)
    strategy.revise(SIGNATURE, REWARD)
    other.load_state_dict(strategy.state_dict())
    assert _rewards(other) == _rewards(strategy)
    stored = _without_signatures(strategy.state_dict())
    other.load_state_dict(stored)
    other.revise(SIGNATURE, REWARD + 1)
    assert _rewards(other) == _rewards(strategy)


def _rewards(strategy: Any) -> list[float]:
    state = strategy.state_dict()
    members = [member[2] for member in state.get("members", [])]
    return members + [
        float(each) for name in ("elites", "surrogate") for each in state.get(name, {}).get("rewards", [])
    ]


def _without_signatures(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state as versions wrote it that knew no signatures."""
    kept = {name: value for name, value in state.items() if name != "signatures"}
    kept = {name: _without_signatures(value) if isinstance(value, dict) else value for name, value in kept.items()}
    return {**kept, "members": [member[:3] for member in kept["members"]]} if "members" in kept else kept
