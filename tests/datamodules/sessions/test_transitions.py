import numpy as np
import pytest
import torch

from datamodules import ImpressionBatch, reward_function
from datamodules.sessions.transitions import LoggedTransition, Transition, logged_transitions, transitions
from tests.datamodules.sessions.session_rows import SESSIONS, hand_made_rows


def test_each_row_is_followed_by_its_session_s_next() -> None:
    rows = hand_made_rows()
    logged = logged_transitions(rows)
    following = [3, 4, 2, 6, 4, 5, 6]
    assert torch.equal(logged.next_categorical, rows.categorical[following])
    assert torch.equal(logged.next_numerical, rows.numerical[following])
    assert logged.done.tolist() == [False, False, True, False, True, True, True]
    assert all(
        torch.equal(*pair) for pair in zip(logged[:3], (rows.categorical, rows.numerical, rows.label), strict=True)
    )


def test_rows_of_many_sessions_against_a_walk_over_the_log() -> None:
    sessions = np.random.default_rng(0).integers(-5, 40, size=300).tolist()
    logged = logged_transitions(hand_made_rows(sessions))
    place_of_next: dict[int, int] = {}
    for place in reversed(range(len(sessions))):
        following = place_of_next.get(sessions[place], place)
        assert logged.next_categorical[place, 0] == following
        assert logged.done[place] == (following == place)
        place_of_next[sessions[place]] = place


def test_types_and_shapes() -> None:
    logged = logged_transitions(hand_made_rows())
    types = [torch.int64, torch.float32, torch.float32, torch.int64, torch.float32, torch.bool]
    assert [column.dtype for column in logged] == types
    assert {len(column) for column in logged} == {len(SESSIONS)}


def test_no_rows_are_no_transitions() -> None:
    logged = logged_transitions(ImpressionBatch(*(column[:0] for column in hand_made_rows())))
    assert {len(column) for column in logged} == {0}


@pytest.mark.parametrize("name", ["log_loss", "absolute_error"])
def test_the_stored_action_is_the_rewarded_one(name: str) -> None:
    logged = logged_transitions(hand_made_rows())
    action = torch.rand(logged.label.shape, generator=torch.Generator().manual_seed(0))
    stored = transitions(logged, action, reward_function(name))
    assert torch.equal(stored.action, action)
    assert torch.equal(stored.reward, reward_function(name)(stored.action, stored.label))
    for name in set(LoggedTransition._fields) & set(Transition._fields):
        assert getattr(stored, name) is getattr(logged, name)


def test_an_action_for_every_label() -> None:
    logged = logged_transitions(hand_made_rows())
    with pytest.raises(ValueError, match=r"shape \(7, 1\) and the labels \(7, 2\)"):
        transitions(logged, torch.rand(7, 1), reward_function("log_loss"))


def test_rows_without_their_successors_are_refused() -> None:
    rows = hand_made_rows()
    with pytest.raises(ValueError, match=r"these lack next_categorical, next_numerical, done: take --data Sessions"):
        transitions(rows, torch.zeros_like(rows.label), reward_function("log_loss"))  # type: ignore[arg-type]
