"""Agents find values that are known, and better actions."""

import itertools
import math
import warnings
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from datamodules.batches import ImpressionBatch
from datamodules.loader import BatchLoader
from datamodules.sessions.rewards import reward_function
from datamodules.sessions.transitions import logged_transitions
from lightning_modules.agents import DDPG, TD3BC, ActorCritic
from lightning_modules.multitask import SharedBottom
from tests.agents.agent_helpers import AGENTS, agent, data, impressions, loader
from tests.trainer_helpers import quiet_trainer

EVERY_AGENT = pytest.mark.parametrize("kind", AGENTS)
TASKS = ("click", "pay")
GAMMA = 0.6
#: Of the score, the log-likelihood of all labels of a session of five rows.
MARGIN = 0.8
#: Probability that the planted actor predicts for each task, whatever the row.
ACTION = torch.tensor([0.3, 0.8])
#: Chains of states, numbered by the one field; a state always follows the same one, or ends the session.
CHAINS = ((0, 1, 2), (3, 2), (4,), (5, 4))
LABEL = torch.tensor([[0, 1], [1, 0], [1, 1], [0, 0], [0, 1], [1, 0]], dtype=torch.float32)


def planted_rows(copies: int = 50) -> ImpressionBatch:
    state = torch.tensor(list(itertools.chain(*CHAINS)) * copies)
    lengths = torch.tensor([len(chain) for chain in CHAINS] * copies)
    session = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    number = torch.arange(len(state))
    return ImpressionBatch(state[:, None], torch.empty(len(state), 0), LABEL[state], session, session, number)


def constant_actor() -> SharedBottom:
    actor = SharedBottom([6], 0, TASKS, embedding_dim=4, bottom_dims=[4], tower_dims=[4])
    with torch.no_grad():
        for parameter in actor.towers.layers[-1].parameters():
            parameter.zero_()
        actor.towers.layers[-1].bias.copy_(torch.logit(ACTION)[:, None])
    return actor


def known_values(reward: str, action: Tensor) -> Tensor:
    """Return Q of every state under one action, then the actor's: ``r(a) + gamma r(p) + gamma^2 r(p) ...``."""
    of_actions = reward_function(reward)
    following = {state: next_state for chain in CHAINS for state, next_state in itertools.pairwise(chain)}
    values = torch.empty(6, 2)
    for state in range(6):
        values[state] = of_actions(action, LABEL[state])
        ahead, discount = following.get(state), GAMMA
        while ahead is not None:
            values[state] += discount * of_actions(ACTION, LABEL[ahead])
            ahead, discount = following.get(ahead), discount * GAMMA
    return values


@pytest.mark.parametrize(
    ("kind", "reward", "tolerance"),
    [
        (DDPG, "absolute_error", 0.03),
        (TD3BC, "log_loss", 0.12),
        pytest.param(DDPG, "log_loss", 0.12, marks=pytest.mark.slow),
        pytest.param(TD3BC, "absolute_error", 0.03, marks=pytest.mark.slow),
    ],
)
def test_critics_find_the_known_values(kind: type[ActorCritic], reward: str, tolerance: float) -> None:
    torch.manual_seed(0)
    # Without noise on the targets' actions the values of both agents are the same.
    options: dict[str, Any] = {"policy_noise": 0.0} if kind is TD3BC else {}
    agent: Any = kind(
        [6],
        0,
        TASKS,
        actor=constant_actor(),
        actor_frozen=True,
        behaviour="uniform",
        reward=reward,
        gamma=GAMMA,
        embed_dim=8,
        bottom_mlp_dims=(64, 32),
        tower_mlp_dims=(16,),
        dropout=0.0,
        memory_size=20_000,
        batch_size=512,
        critic_lr=4e-3,
        **options,
    )
    rows = logged_transitions(planted_rows())
    quiet_trainer(max_epochs=250).fit(agent.train(), BatchLoader(rows, 400, shuffle=True, seed=0))
    agent.eval()
    states = torch.arange(6)[:, None]
    errors = []
    # Nearer to 0 and 1 the log-loss is too steep for a small network.
    for share in torch.linspace(0.1, 0.9, 9):
        action = torch.stack([share, 1 - share])
        with torch.no_grad():
            value = agent.critics(states, torch.empty(6, 0), action.expand(6, 2))
        errors.append((value - known_values(reward, action)).abs())
    assert torch.stack(errors).mean() < tolerance
    assert torch.stack(errors).max() < 5 * tolerance


@EVERY_AGENT
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_a_random_actor_improves(kind: type[ActorCritic], seed: int) -> None:
    torch.manual_seed(seed)
    sessions = data(num_sessions=600)
    options = {"behaviour": "noisy_actor", "noise_std": 0.2, "noise_clip": 0.5} if kind is TD3BC else {}
    agent: Any = kind(
        sessions.field_sizes,
        sessions.num_numerical,
        sessions.tasks,
        actor={"class_path": "SharedBottom", "init_args": {"embedding_dim": 8, "bottom_dims": [16], "tower_dims": [8]}},
        gamma=0.5,
        embed_dim=8,
        # With narrower critics, or fewer updates ahead of the actor's, DDPG ends at actions of 0 or 1 with some seeds.
        bottom_mlp_dims=(64, 32),
        tower_mlp_dims=(16,),
        dropout=0.0,
        memory_size=20_000,
        batch_size=256,
        init_training_step=200,
        actor_update_freq=1,
        critic_lr=5e-3,
        actor_lr=2e-3,
        **options,
    )
    trainer = quiet_trainer(max_epochs=36, check_val_every_n_epoch=36)
    before = trainer.validate(agent, sessions, verbose=False)[0]["val/score"]
    trainer.fit(agent, sessions)
    after = float(trainer.callback_metrics["val/score"])
    assert math.isfinite(before)
    assert after > before + MARGIN


@EVERY_AGENT
def test_an_actor_that_is_never_updated_is_told_of_at_the_start(kind: type[ActorCritic]) -> None:
    short = agent(kind, init_training_step=7, actor_update_freq=2)
    with pytest.warns(UserWarning, match=r"^the actor will not be updated: .*most 8 .*number 9") as caught:
        quiet_trainer(max_epochs=2).fit(short, loader(impressions()))
    assert sum("updates of the critics" in str(each.message) for each in caught) == 1


def test_an_actor_that_was_never_updated_is_told_of_at_the_end() -> None:
    stopped = agent(DDPG, init_training_step=3)
    with pytest.warns(UserWarning, match=r"^the actor was not updated: there were 2 updates"):
        quiet_trainer(max_epochs=-1, callbacks=[StopsAfterTwoBatches()]).fit(stopped, loader(impressions()))


@pytest.mark.parametrize("options", [{"init_training_step": 2}, {"init_training_step": 7, "actor_frozen": True}])
def test_nothing_is_said_of_an_actor_that_learns_or_is_not_to(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*updates of the critics")
        quiet_trainer(max_epochs=1).fit(agent(DDPG, **options), loader(impressions()))


class StopsAfterTwoBatches(Callback):
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        trainer.should_stop = batch_idx == 1
