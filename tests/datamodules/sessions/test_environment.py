import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import RescaleAction

from datamodules import ImpressionBatch, SessionEnv, SessionsDataModule, SyntheticImpressions, reward_function
from datamodules.sessions.transitions import Transition, logged_transitions, transitions
from tests.datamodules.sessions.session_rows import FIELD_SIZES, TASKS, hand_made_rows


@pytest.fixture(scope="module")
def impressions() -> SyntheticImpressions:
    data = SyntheticImpressions(num_sessions=40, session_length=5, num_categories=(9, 4), seed=0)
    data.setup()
    return data


def environment(**options: Any) -> SessionEnv:
    return SessionEnv(hand_made_rows(), field_sizes=FIELD_SIZES, tasks=TASKS, **options)


def played(env: SessionEnv, rows: ImpressionBatch, action: torch.Tensor) -> Transition:
    """Play all sessions and return what was seen, acted and earned, in the order of the rows."""
    seen: dict[int, list[Any]] = {}
    for session in rows.session.unique().tolist():
        observed, _ = env.reset(options={"session": session})
        for place in torch.nonzero(rows.session == session).squeeze(1).tolist():
            following, total, terminated, truncated, information = env.step(action[place].numpy())
            assert not truncated
            assert total == pytest.approx(information["reward"].sum())
            assert information["session"] == session
            seen[place] = [
                *observed.values(), action[place], information["reward"], *following.values(), terminated,
                information["label"],
            ]  # fmt: skip
            observed = following
        assert terminated
    columns = zip(*(seen[place] for place in range(len(rows.session))), strict=True)
    return Transition(*(torch.from_numpy(np.array(column)) for column in columns))


@pytest.mark.parametrize("reward", ["log_loss", "absolute_error"])
@pytest.mark.parametrize("source", ["hand-made", "synthetic"])
def test_environment_and_vectorised_builder_are_equal_step_by_step(
    reward: str, source: str, impressions: SyntheticImpressions
) -> None:
    if source == "hand-made":
        rows, env = hand_made_rows(), environment(reward=reward)
    else:
        rows, env = impressions.rows["train"], SessionEnv.of(impressions, reward=reward)
    action = torch.rand(rows.label.shape, generator=torch.Generator().manual_seed(0))
    built = transitions(logged_transitions(rows), action, reward_function(reward))
    for name, ours, theirs in zip(Transition._fields, played(env, rows, action), built, strict=True):
        exact = {"rtol": 0, "atol": 0} if name != "reward" else {}
        torch.testing.assert_close(ours, theirs, **exact, msg=name)


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("missing", ["nothing", "categorical", "numerical"])
def test_check_env_has_nothing_to_say(sequence: bool, missing: str) -> None:
    rows, sizes = hand_made_rows(), FIELD_SIZES
    if missing == "categorical":
        rows, sizes = rows._replace(categorical=rows.categorical[:, :0]), ()
    elif missing == "numerical":
        rows = rows._replace(numerical=rows.numerical[:, :0])
    # With a spec nothing is left unchecked.
    spec = EnvSpec("Session-v0", entry_point=SessionEnv)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(spec, rows=rows, field_sizes=sizes, tasks=TASKS, sequence=sequence).unwrapped
        check_env(env)
    assert missing not in env.reset()[0]


def test_spaces_have_the_sizes_of_the_data(impressions: SyntheticImpressions) -> None:
    env = SessionEnv.of(impressions, "test")
    assert tuple(env.observation_space["categorical"].nvec) == impressions.field_sizes
    assert env.observation_space["numerical"].shape == (impressions.num_numerical,)
    assert env.action_space == gymnasium.spaces.Box(0, 1, (2,), np.float32)
    assert env.observation_space == SessionEnv.of(impressions, "train").observation_space


def test_sequence_is_all_rows_so_far() -> None:
    rows, env = hand_made_rows(), environment(sequence=True)
    observed, _ = env.reset(options={"session": 7})
    steps = [observed] + [env.step([0.5, 0.5])[0] for _ in range(3)]
    for observed, places in zip(steps, ([0], [0, 3], [0, 3, 6], [0, 3, 6]), strict=True):
        assert observed in env.observation_space
        np.testing.assert_array_equal(observed["categorical"], rows.categorical[places])
        np.testing.assert_array_equal(observed["numerical"], rows.numerical[places])


def test_sessions_are_drawn_by_the_seed_each_as_likely() -> None:
    env = environment()

    def drawn(seed: int) -> list[int]:
        env.reset(seed=seed)
        return [env.reset()[1]["session"] for _ in range(400)]

    assert drawn(1) == drawn(1) != drawn(2)
    sessions, counts = np.unique(drawn(3), return_counts=True)
    assert sessions.tolist() == [2, 4, 7, 9]
    assert (abs(counts - 100) < 40).all()


def test_actions_are_rescaled_by_gymnasium_s_wrapper() -> None:
    plain, rescaled = environment(), RescaleAction(environment(), np.float32(-1), np.float32(1))
    assert rescaled.action_space == gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    for action in ([-1.0, 1.0], [0.25, -0.5]):
        plain.reset(options={"session": 7})
        rescaled.reset(options={"session": 7})
        expected = plain.step((np.array(action) + 1) / 2)
        assert rescaled.step(np.array(action, dtype=np.float32))[1] == pytest.approx(expected[1])


def test_several_environments_play_side_by_side() -> None:
    env = SyncVectorEnv([environment] * 3)
    env.reset(options={"session": 2})
    _, reward, terminated, _, _ = env.step(np.full((3, 2), 0.5, dtype=np.float32))
    np.testing.assert_allclose(reward, 2 * np.log(0.5))
    assert not terminated.any()
    assert env.step(np.full((3, 2), 0.5, dtype=np.float32))[2].all()


def test_what_was_returned_stays_as_it_is() -> None:
    rows = hand_made_rows()
    env = SessionEnv(rows, field_sizes=FIELD_SIZES, tasks=TASKS)
    env.reset(options={"session": 7})
    observed, *_, information = env.step([0.5, 0.5])
    observed["numerical"][:] = 99
    information["label"][:] = 99
    assert rows.numerical.max() < 99
    assert rows.label.max() == 1


@pytest.mark.parametrize("action", [[1.1, 0.5], [0.5, -0.1], [float("nan"), 0.5]])
def test_actions_outside_of_0_and_1(action: list[float]) -> None:
    env = environment()
    env.reset()
    with pytest.raises(ValueError, match=r"is not within \[0, 1\].*RescaleAction"):
        env.step(action)


@pytest.mark.parametrize("action", [0.5, [0.5], [[0.5, 0.5]]])
def test_actions_of_another_shape(action: Any) -> None:
    env = environment()
    env.reset()
    with pytest.raises(ValueError, match=r"one probability a task \(click, buy\), shape \(2,\)"):
        env.step(action)


def test_no_step_before_a_session_begins_or_after_it_ends() -> None:
    env = environment()
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step([0.5, 0.5])
    env.reset(options={"session": 9})
    assert env.step([0.5, 0.5])[2]
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step([0.5, 0.5])


@pytest.mark.parametrize("number", [3, -1, 10, "seven"])
def test_unknown_session(number: Any) -> None:
    env = environment()
    with pytest.raises(ValueError, match=f"there is no session {number!r}"):
        env.reset(options={"session": number})


def test_unknown_option_of_reset() -> None:
    with pytest.raises(ValueError, match="no option 'sesion'"):
        environment().reset(options={"sesion": 7})


def test_unknown_reward_and_split(impressions: SyntheticImpressions) -> None:
    with pytest.raises(ValueError, match="no reward 'mse'"):
        environment(reward="mse")
    with pytest.raises(ValueError, match="no split 'trian'; choose among train, validation, test"):
        SessionEnv.of(SessionsDataModule(impressions), "trian")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tasks": ("click",)}, "2 labels for 1 tasks"),
        ({"field_sizes": (8,)}, "2 categorical fields for 1 field_sizes"),
        ({"field_sizes": (8, 2)}, "categorical field 1 has the index 2, and its field_size is only 2"),
        ({"rows": ImpressionBatch(*(column[:0] for column in hand_made_rows()))}, "no rows to play"),
    ],
)
def test_rows_that_do_not_fit(change: dict[str, Any], said: str) -> None:
    options = {"rows": hand_made_rows(), "field_sizes": FIELD_SIZES, "tasks": TASKS, **change}
    with pytest.raises(ValueError, match=said):
        SessionEnv(**options)
