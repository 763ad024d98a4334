"""The algorithms' formulas, in both agents."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules.agents import DDPG, TD3BC, ActorCritic
from lightning_modules.agents.task_critics import frozen
from lightning_modules.layers import FieldEmbedding
from lightning_modules.multitask import MetaHeac, SharedBottom, SingleTask
from tests.agents.agent_helpers import (
    AGENTS,
    TASKS,
    agent,
    copied,
    evaluation_loader,
    impressions,
    loader,
    moved,
    replayed,
)
from tests.trainer_helpers import quiet_trainer

EVERY_AGENT = pytest.mark.parametrize("kind", AGENTS)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def values(module: Any, part: str, categorical: Tensor, numerical: Tensor, action: Tensor) -> Tensor:
    critics = getattr(module, part).of_tasks
    return torch.stack([critic(categorical, numerical, action[:, k]) for k, critic in enumerate(critics)], dim=1)


def shifted(module: ActorCritic, scale: float = 0.1) -> ActorCritic:
    """Let targets and sources differ, as they do in training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module


def trained(module: ActorCritic, **options: Any) -> ActorCritic:
    settings = {"max_epochs": 1, "limit_train_batches": 4, **options}
    quiet_trainer(**settings).fit(module, loader(impressions()))
    return module


class Recorded:
    """Which parts each update moves."""

    def __init__(self, kind: type[ActorCritic], **options: Any) -> None:
        self.moves: list[set[str]] = []
        recorded = self

        class Recording(kind):  # type: ignore[misc, valid-type]
            def update(self, rows: Any) -> None:
                parts = dict(self.named_children())
                before = {name: copied(part) for name, part in parts.items()}
                super().update(rows)
                recorded.moves.append({name for name, part in parts.items() if moved(part, before[name])})

        trained(agent(Recording, **options), limit_train_batches=4, max_epochs=4)


def test_ddpgs_target_is_that_of_the_paper() -> None:
    module, rows = shifted(agent(DDPG)).eval(), replayed()
    action = torch.sigmoid(module.actor_target(rows.next_categorical, rows.next_numerical))
    next_value = values(module, "critics_target", rows.next_categorical, rows.next_numerical, action)
    expected = rows.reward + 0.9 * next_value * (1 - rows.done.float()[:, None])
    with torch.no_grad():
        torch.testing.assert_close(module._target(rows), expected.detach())
    assert 0 < rows.done.sum() < len(rows.done)


def test_td3s_target_is_the_smaller_of_two_critics_of_a_noisy_action() -> None:
    module, rows = shifted(agent(TD3BC, policy_noise=0.5, policy_noise_clip=0.2), scale=0.5).eval(), replayed()
    inputs = rows.next_categorical, rows.next_numerical
    noise = torch.randn(32, 2, generator=torch.Generator().manual_seed(4)).mul(0.5).clamp(-0.2, 0.2)
    action = (torch.sigmoid(module.actor_target(*inputs)) + noise).clamp(0, 1)
    pair = [values(module, part, *inputs, action) for part in ("critics_target", "twin_critics_target")]
    module.generator.manual_seed(4)
    with torch.no_grad():
        torch.testing.assert_close(module.next_value(*inputs), torch.minimum(*pair).detach())
    assert (pair[0] < pair[1]).any()
    assert (pair[0] > pair[1]).any()


def test_ddpgs_actor_loss() -> None:
    module, rows = shifted(agent(DDPG, actor_reg=3.0)).eval(), replayed()
    action = torch.sigmoid(module.actor(rows.categorical, rows.numerical))
    difference = (action - torch.sigmoid(module.reference(rows.categorical, rows.numerical))).square().mean()
    value = values(module, "critics", rows.categorical, rows.numerical, action)
    loss = module.actor_loss(rows)
    torch.testing.assert_close(loss.total, 3.0 * difference - value[:, 0].mean() - value[:, 1].mean())
    torch.testing.assert_close(loss.bc_loss, difference.detach())


def test_td3_bcs_actor_loss_and_its_gradient() -> None:
    module, rows = shifted(agent(TD3BC, alpha=1.5)).eval(), replayed()
    loss = module.actor_loss(rows)
    action = torch.sigmoid(module.actor(rows.categorical, rows.numerical))
    difference = (action - rows.action).square().mean()
    value = values(module, "critics", rows.categorical, rows.numerical, action)
    # The weights are constants.
    scale = [1.5 / value[:, k].abs().mean().item() for k in range(2)]
    expected = difference - scale[0] * value[:, 0].mean() - scale[1] * value[:, 1].mean()
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(loss.bc_loss, difference.detach())
    parameters = list(module.actor.parameters())
    gradients = [torch.autograd.grad(each, parameters, allow_unused=True) for each in (loss.total, expected)]
    torch.testing.assert_close(*gradients)


def inverse_propensities(rows: Any) -> Tensor:
    weights = torch.empty_like(rows.label)
    for row, task in torch.cartesian_prod(*map(torch.arange, rows.label.shape)).tolist():
        same = (rows.label[:, task] == rows.label[row, task]).sum()
        weights[row, task] = len(rows.label) / (2 * same)
    return weights


def test_inverse_propensities_weigh_ddpgs_actor() -> None:
    module, rows = shifted(agent(DDPG, ips_actor=True)).eval(), replayed()
    action = torch.sigmoid(module.actor(rows.categorical, rows.numerical))
    value = inverse_propensities(rows) * values(module, "critics", rows.categorical, rows.numerical, action)
    torch.testing.assert_close(module.actor_loss(rows).total, -value[:, 0].mean() - value[:, 1].mean())


def test_inverse_propensities_weigh_td3_bcs_actor() -> None:
    module, rows = shifted(agent(TD3BC, alpha=1.5, ips_actor=True)).eval(), replayed()
    action = torch.sigmoid(module.actor(rows.categorical, rows.numerical))
    value = inverse_propensities(rows) * values(module, "critics", rows.categorical, rows.numerical, action)
    scaled = sum(1.5 * value[:, k].mean() / value[:, k].abs().mean() for k in range(2))
    torch.testing.assert_close(module.actor_loss(rows).total, (action - rows.action).square().mean() - scaled)


@EVERY_AGENT
def test_the_distance_to_the_reference_may_be_one_of_parameters(kind: type[ActorCritic]) -> None:
    rows = replayed()
    near, far = (
        shifted(agent(kind, actor_reg=reg, actor_reg_distance="parameters", actor_lr=1e-3)).eval() for reg in (0.0, 2.0)
    )
    far.load_state_dict(near.state_dict())
    start = dict(far.reference.named_parameters())
    parts = [((value - start[name]) ** 2).sum() / value.numel() for name, value in far.actor.named_parameters()]
    expected = sum(parts) / len(parts)
    assert float(expected) > 0
    torch.testing.assert_close(far.actor_loss(rows).total - near.actor_loss(rows).total, 2 * expected)
    name, weight = next(far.actor.named_parameters())
    pulled, free = (
        torch.autograd.grad(module.actor_loss(rows).total, next(module.actor.parameters()))[0] for module in (far, near)
    )
    pull = 2.0 * 2 * (weight - start[name]).detach() / weight.numel() / len(parts)
    torch.testing.assert_close(pulled - free, pull, atol=1e-6, rtol=1e-4)


def test_there_is_no_other_distance() -> None:
    with pytest.raises(ValueError, match=r"one of actions, parameters, got 'weights'"):
        agent(DDPG, actor_reg_distance="weights")


@EVERY_AGENT
@pytest.mark.parametrize("ips", [False, True])
def test_the_critics_loss_is_the_weighed_squared_error_of_each_task(kind: type[ActorCritic], ips: bool) -> None:
    module = agent(kind, ips=ips, dropout=0.0, actor_frozen=True)
    seen: list[tuple[Tensor, Tensor]] = []

    def update(rows: Any) -> None:
        generator = module.generator.get_state()
        with torch.no_grad():
            target, weight = module._target(rows), torch.ones(len(rows.label), 2)
            if ips:
                rate = rows.label.mean(dim=0)
                weight = torch.where(rows.label > 0, 0.5 / rate, 0.5 / (1 - rate))
            parts = ["critics", "twin_critics"] if kind is TD3BC else ["critics"]
            pairs = [values(module, part, rows.categorical, rows.numerical, rows.action) for part in parts]
            expected = sum((weight * (value - target) ** 2).mean(dim=0) for value in pairs)
        module.generator.set_state(generator)
        kind.update(module, rows)
        seen.append((module._observation.means()["critic_loss/click"], expected[0]))

    module.update = update
    trained(module, limit_train_batches=1)
    torch.testing.assert_close(*seen[0])


@EVERY_AGENT
def test_what_is_updated_when(kind: type[ActorCritic]) -> None:
    options = {"init_training_step": 5, "actor_update_freq": 3, "soft_update_freq": 4}
    moves = Recorded(kind, **options).moves
    assert len(moves) == 16
    twins = {"twin_critics"} if kind is TD3BC else set()
    for number, parts in enumerate(moves, start=1):
        expected = {"critics", *twins}
        if number in (8, 11, 14):
            expected |= {"actor"}
        if number % 4 == 0:
            expected |= {f"{part}_target" for part in ("critics", *twins)}
        if number in (8, 12, 16):
            expected |= {"actor_target"}
        assert parts == expected, number


@EVERY_AGENT
def test_a_frozen_actor_never_moves(kind: type[ActorCritic]) -> None:
    moves = Recorded(kind, actor_frozen=True, actor_update_freq=1, soft_update_freq=1).moves
    assert set().union(*moves) & {"actor", "actor_target", "reference"} == set()
    assert all("critics" in parts for parts in moves)


@EVERY_AGENT
def test_targets_move_by_tau(kind: type[ActorCritic]) -> None:
    module = shifted(agent(kind, tau=0.3))
    module.updates = 1
    pairs = [*module.critic_pairs(), (module.actor, module.actor_target)]
    before = [copied(target) for _, target in pairs]
    module._update_targets()
    for (source, target), old in zip(pairs, before, strict=True):
        for name, parameter in source.named_parameters():
            torch.testing.assert_close(dict(target.named_parameters())[name], 0.7 * old[name] + 0.3 * parameter)


def test_only_critics_ever_train() -> None:
    training: list[set[str]] = []

    class Looking(TD3BC):
        def update(self, rows: Any) -> None:
            training.append({name for name, part in self.named_children() if part.training and len(copied(part))})
            super().update(rows)

    rows = impressions()
    module = agent(Looking)
    running = {name: value for name, value in copied(module.actor).items() if "running" in name}
    quiet_trainer(max_epochs=2).fit(module, loader(rows), evaluation_loader(rows))
    assert training == [{"critics", "twin_critics"}] * 8
    assert running
    assert all(torch.equal(value, module.actor.state_dict()[name]) for name, value in running.items())


def test_the_actors_update_leaves_critics_alone() -> None:
    module, rows = agent(DDPG).train(), replayed()
    with frozen(module.critics):
        assert not module.critics.training
        module.actor_loss(rows).total.backward()
    assert all(parameter.grad is None for parameter in module.critics.parameters())
    assert any(parameter.grad is not None for parameter in module.actor.parameters())
    assert module.critics.training
    assert all(parameter.requires_grad for parameter in module.critics.parameters())


def test_critics_start_from_the_actors_embedding_where_it_has_one_of_their_size() -> None:
    sizes = {"embedding_dim": 4, "bottom_dims": [8], "tower_dims": [4]}
    shared = SharedBottom((12, 5), 2, TASKS, **sizes)
    for module in (agent(TD3BC, actor=shared), agent(DDPG, actor=shared)):
        for critics in (part for pair in module.critic_pairs() for part in pair):
            for critic in critics.of_tasks:
                assert torch.equal(critic.embedding.table.weight, shared.embedding.table.weight)
    wider = agent(DDPG, actor=shared, embed_dim=6)
    assert wider.critics.of_tasks[0].embedding.table.weight.shape == (17, 6)
    several = SingleTask((12, 5), 2, TASKS, **sizes)
    assert several.shared_embedding() is None
    agent(DDPG, actor=several)
    one = MetaHeac((12, 5), 2, TASKS, **sizes, num_experts=2, num_critics=2)
    assert isinstance(one.shared_embedding(), FieldEmbedding)


def test_gradients_are_clipped_on_request() -> None:
    norms: list[float] = []

    class Looking(DDPG):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            gradients = [each.grad for group in optimizer.param_groups for each in group["params"]]
            norms.append(float(torch.cat([each.flatten() for each in gradients if each is not None]).norm()))

    trained(agent(Looking, gradient_clip_val=1e-3))
    assert norms
    assert max(norms) <= 1e-3 * 1.01


@EVERY_AGENT
def test_bad_settings_are_refused(kind: type[ActorCritic]) -> None:
    for options, message in [
        ({"memory_size": 10}, "memory_size.*got 10 for a batch_size of 64"),
        ({"gamma": 1.0}, r"gamma.*\[0, 1\), got 1.0"),
        ({"tau": 0.0}, r"tau.*\(0, 1\], got 0.0"),
        ({"actor_update_freq": 0}, "actor_update_freq must be at least 1, got 0"),
        ({"soft_update_freq": 0}, "soft_update_freq must be at least 1, got 0"),
        ({"init_training_step": -1}, "init_training_step must be at least 0, got -1"),
        ({"actor_reg": -0.5}, "actor_reg must be at least 0"),
        ({"critic_lr": 0.0}, "critic_lr must be above 0"),
        ({"reward": "profit"}, "no reward 'profit'"),
        ({"behaviour": "greedy"}, "no behaviour 'greedy'"),
        ({"critic_activation": "tanh"}, "no activation 'tanh'"),
    ]:
        with pytest.raises(ValueError, match=message):
            agent(kind, **options)
    with pytest.raises(ValueError, match="alpha must be above 0"):
        agent(TD3BC, alpha=0)


def test_a_critic_that_died_is_reported_once() -> None:
    module = agent(DDPG, critic_activation="relu", actor_frozen=True)
    with torch.no_grad():
        module.critics.of_tasks[0].tower[-1].bias.fill_(5.0)
        module.critics.of_tasks[1].tower[-1].weight.zero_()
        module.critics.of_tasks[1].tower[-1].bias.fill_(-5.0)
    trainer = quiet_trainer(max_epochs=2)
    with pytest.warns(UserWarning, match="critic of 'pay' gave every row") as caught:
        trainer.fit(module, loader(impressions()))
    assert len([each for each in caught if "critic of" in str(each.message)]) == 1
    assert trainer.callback_metrics["train/q_std/pay"] == 0
    assert trainer.callback_metrics["train/q_std/click"] > 0


@EVERY_AGENT
def test_values_that_are_not_finite_end_the_training(kind: type[ActorCritic]) -> None:
    rows = impressions()
    rows.numerical[::10, 0] = torch.inf
    module = agent(kind, actor_frozen=True)
    with pytest.raises(RuntimeError, match=r"stopped being finite at update \d+, in a batch with Q from"):
        quiet_trainer(max_epochs=5).fit(module, loader(rows))
    # Found at the end of the first epoch, not after the last.
    assert module.updates == 4
