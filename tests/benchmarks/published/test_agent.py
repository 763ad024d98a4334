"""The published agent as re-stated for the benchmarks computes what ours does."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.agent_speed import published_replay
from benchmarks.published import agent as published
from datamodules.batches import ImpressionBatch
from datamodules.loader import BatchLoader
from datamodules.sessions.transitions import Transition, logged_transitions, transitions
from lightning_modules.agents import DDPG
from lightning_modules.multitask import ESMM
from tests.trainer_helpers import quiet_trainer

FIELD_SIZES, NUM_NUMERICAL, TASKS = (10, 4, 90), 2, ("click", "pay")
SIZES = published.Sizes(FIELD_SIZES, NUM_NUMERICAL, embedding_dim=4, bottom_dims=(8, 6), tower_dims=(5,), dropout=0)


def experience(count: int = 64) -> Transition:
    generator = torch.Generator().manual_seed(0)
    categorical = torch.stack([torch.randint(0, size, (count,), generator=generator) for size in FIELD_SIZES], dim=1)
    numerical = torch.randn(count, NUM_NUMERICAL, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 2, (count, 2), generator=generator).double()
    session = torch.arange(count) // 4
    logged = logged_transitions(ImpressionBatch(categorical, numerical, label, session, session, session))
    action = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return transitions(logged, action, lambda taken, seen: -(taken - seen).abs())


def published_rows(rows: Transition) -> published.Rows:
    state = torch.cat([rows.categorical, rows.numerical], dim=1)
    next_state = torch.cat([rows.next_categorical, rows.next_numerical], dim=1)
    return published.Rows(state, rows.action, next_state, rows.reward, rows.done.double())


def published_agent(*, learns: bool) -> published.Agent:
    torch.manual_seed(0)
    agent = published.Agent(SIZES, learns=learns)
    networks = [agent.actor, agent.actor_target, agent.pretrained, *agent.critics, *agent.critics_target]
    for network in networks:
        network.double()
    with torch.no_grad():
        for critic, target in zip(agent.critics, agent.critics_target, strict=True):
            # Above 0, where -ReLU would be 0 everywhere; and targets that differ from their sources.
            critic.tower[-1].bias.fill_(1.0)
            target.load_state_dict(critic.state_dict())
            target.tower[-1].bias.fill_(2.0)
    return agent


class Taught(DDPG):
    """Learns from the same transitions in every step."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self.update(experience())


def our_agent(theirs: published.Agent) -> Taught:
    """Return ours with the same weights; its actor has a bottom for each task."""
    sizes = {"embedding_dim": 4, "bottom_dims": (8, 6), "tower_dims": (5,), "dropout": 0, "batch_norm": False}
    agent = Taught(
        FIELD_SIZES,
        NUM_NUMERICAL,
        TASKS,
        actor=ESMM(FIELD_SIZES, NUM_NUMERICAL, TASKS, **sizes),
        critic_activation="relu",
        embed_dim=4,
        bottom_mlp_dims=(8, 6),
        tower_mlp_dims=(5,),
        dropout=0,
        init_training_step=0,
        actor_frozen=theirs.actor_optimizer is None,
    ).double()
    for model in (agent.actor, agent.actor_target, agent.reference):
        copy_actor(model, theirs.actor)
    for own, others in zip(critics(agent), [*theirs.critics, *theirs.critics_target], strict=True):
        copy_parameters(own, others)
    return agent


def critics(agent: DDPG) -> list[nn.Module]:
    return [*agent.critics.of_tasks, *agent.critics_target.of_tasks]


def copy_parameters(own: nn.Module, others: nn.Module) -> None:
    for parameter, given in zip(own.parameters(), others.parameters(), strict=True):
        parameter.data.copy_(given)


def copy_actor(own: Any, theirs: published.ESMM) -> None:
    copy_parameters(own.embedding, theirs.embedding)
    for networks, given in ((own.bottoms, [theirs.bottom, theirs.bottom]), (own.towers, list(theirs.towers))):
        linear = [[layer for layer in network.modules() if isinstance(layer, nn.Linear)] for network in given]
        for layer, of_networks in zip(networks.layers, zip(*linear, strict=True), strict=True):
            layer.weight.data.copy_(torch.stack([each.weight for each in of_networks]))
            layer.bias.data.copy_(torch.stack([each.bias for each in of_networks]))


def teach(agent: DDPG, updates: int) -> dict[str, Tensor]:
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(agent, train_dataloaders=BatchLoader(experience(updates), 1))
    return {name: value.double() for name, value in trainer.callback_metrics.items()}


def test_the_actors_probabilities_are_equal() -> None:
    theirs, rows = published_agent(learns=False), experience()
    probability = theirs.actor(published_rows(rows).state)
    torch.testing.assert_close(our_agent(theirs).eval()(rows.categorical, rows.numerical), probability)
    assert (probability[:, 1] < probability[:, 0]).all()


def test_critics_and_targets_are_equal_after_several_updates() -> None:
    theirs = published_agent(learns=False)
    ours = our_agent(theirs)
    before = copy.deepcopy(theirs)
    losses = torch.tensor([theirs.update(published_rows(experience())) for _ in range(5)], dtype=torch.float64)
    logged = teach(ours, 5)
    for task, name in enumerate(TASKS):
        torch.testing.assert_close(logged[f"train/critic_loss/{name}"], losses[:, task].mean(), rtol=1e-6, atol=0)
    pairs = zip(critics(ours), [*theirs.critics, *theirs.critics_target], strict=True)
    for own, others in pairs:
        for parameter, expected in zip(own.parameters(), others.parameters(), strict=True):
            torch.testing.assert_close(parameter, expected)
    networks = [[*agent.critics, *agent.critics_target] for agent in (theirs, before)]
    for critic, old in zip(*networks, strict=True):
        assert not torch.equal(critic.tower[-1].bias, old.tower[-1].bias)
    assert all(torch.equal(*each) for each in zip(theirs.actor.parameters(), before.actor.parameters(), strict=True))


def test_the_actors_loss_is_equal_and_lowered() -> None:
    theirs, rows = published_agent(learns=True), published_rows(experience())
    ours = our_agent(theirs)
    first, second = theirs.update(rows), theirs.update(rows)
    assert (len(first), len(second)) == (2, 4)
    logged = teach(ours, 2)
    torch.testing.assert_close(logged["train/actor_loss"], torch.tensor(second[2]).double(), rtol=1e-6, atol=0)
    assert logged["train/bc_loss"] == pytest.approx(0, abs=1e-12)
    assert second[3] == pytest.approx(0, abs=1e-12)
    for critic in theirs.critics:
        critic.requires_grad_(False)
    loss, difference = theirs.actor_loss(rows)
    for _ in range(10):
        theirs.update_actor(rows, theirs.actor_optimizer)
    lowered, moved = theirs.actor_loss(rows)
    assert lowered < loss
    assert moved > difference > 0


def test_targets_follow_every_second_update() -> None:
    agent, rows = published_agent(learns=True), published_rows(experience())
    moved = []
    for _ in range(4):
        targets = [agent.actor_target, *agent.critics_target]
        before = copy.deepcopy(targets)
        agent.update(rows)
        pairs = zip(targets, before, strict=True)
        moved.append([not torch.equal(*(each.embedding.table.weight for each in pair)) for pair in pairs])
    assert moved == [[False] * 3, [True] * 3, [False] * 3, [True] * 3]


@pytest.mark.parametrize("stored", [5, 11])
def test_the_replay_keeps_the_last_and_draws_each_once(stored: int) -> None:
    replay = published.Replay(7, 3, 2)
    for number in range(stored):
        state = np.full(3, number)
        replay.store(state, state[:2] + 100, state + 200, state[:2] + 300, number % 2)
    assert replay.size == min(stored, 7)
    rows = replay.sample(replay.size)
    number = rows.state[:, 0]
    assert sorted(number.tolist()) == list(range(stored))[-7:]
    torch.testing.assert_close(rows.action, number[:, None].expand(-1, 2) + 100)
    torch.testing.assert_close(rows.next_state, number[:, None].expand(-1, 3) + 200)
    torch.testing.assert_close(rows.reward, number[:, None].expand(-1, 2) + 300)
    torch.testing.assert_close(rows.done, number % 2)


def test_the_benchmark_fills_the_published_replay_with_the_same_transitions() -> None:
    rows = experience()
    batches = published_replay(rows).sample(len(rows.done)), published_rows(rows)
    drawn, held = (torch.cat([column.view(64, -1).float() for column in batch], dim=1).tolist() for batch in batches)
    assert sorted(drawn) == sorted(held)
