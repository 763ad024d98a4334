"""Agents in lower precision: rewards of sure actors, and gradients that are scaled."""

import math
from typing import Any

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor
from torch.nn.utils import get_total_norm

from lightning_modules.agents import DDPG, ActorCritic, NonPositiveCritic
from lightning_modules.utilities.precision import probability_of
from tests.agents.agent_helpers import AGENTS, TASKS, agent, copied, evaluation_loader, impressions, loader, moved
from tests.trainer_helpers import quiet_trainer

EVERY_AGENT = pytest.mark.parametrize("kind", AGENTS)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def sure(kind: type[ActorCritic], **options: Any) -> ActorCritic:
    """Return an agent whose actor predicts .9999 for every row."""
    made: ActorCritic = agent(kind, **options)
    with torch.no_grad():
        for actor in (made.actor, made.actor_target, made.reference):
            for parameter in actor.towers.layers[-1].parameters():  # type: ignore[union-attr]
                parameter.zero_()
            actor.towers.layers[-1].bias.fill_(9.2)  # type: ignore[union-attr]
    return made


def test_actions_are_probabilities_of_single_precision_at_least() -> None:
    logit = torch.tensor([-9.0, 0.5, 9.0])
    assert torch.equal(probability_of(logit), torch.sigmoid(logit))
    assert torch.equal(probability_of(logit.double()), torch.sigmoid(logit.double()))
    assert torch.equal(probability_of(logit.bfloat16()), torch.sigmoid(logit.bfloat16().float()))


@EVERY_AGENT
@pytest.mark.parametrize("behaviour", ["actor", "noisy_actor", "uniform"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_sure_actors_have_finite_rewards_in_bfloat16(kind: type[ActorCritic], behaviour: Any, precision: Any) -> None:
    scores = []
    for each in ("32-true", precision):
        module = sure(kind, behaviour=behaviour, actor_lr=1e-6, actor_reg=1.0)
        trainer = quiet_trainer(max_epochs=1, precision=each)
        trainer.fit(module, loader(impressions()), evaluation_loader(impressions(seed=1)))
        assert math.isfinite(trainer.callback_metrics["train/critic_loss"])
        assert module.replay.sample(64, module.generator).reward.isfinite().all()
        scores.append(float(trainer.callback_metrics["val/score"]))
    assert scores[1] == pytest.approx(scores[0], rel=0.01)


def test_a_critic_without_fields_takes_actions_of_single_precision() -> None:
    critic = NonPositiveCritic([], 2, embedding_dim=4, bottom_dims=(8,), tower_dims=()).bfloat16()
    value = critic(torch.empty(3, 0, dtype=torch.int64), torch.randn(3, 2).bfloat16(), torch.rand(3))
    assert value.dtype == torch.bfloat16


@EVERY_AGENT
def test_scaled_gradients_are_clipped_as_they_are_unscaled(kind: type[ActorCritic]) -> None:
    module = agent(kind, gradient_clip_val=0.01, actor_update_freq=1)
    before, norms = copied(module.actor), []
    step = torch.optim.Adam.step

    def noting(optimizer: Any, *arguments: Any, **options: Any) -> Any:
        gradients = [each.grad for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
        norms.append(get_total_norm(gradients))
        return step(optimizer, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", noting)
        quiet_trainer(max_epochs=1, plugins=[scaled()]).fit(module, loader(impressions()))
    assert moved(module.actor, before)
    assert largest(norms) == pytest.approx(0.01, rel=1e-3)


def largest(norms: list[Tensor]) -> float:
    return float(torch.stack(norms).max())


def scaled() -> MixedPrecision:
    # A scale at which a CPU's half precision does not overflow.
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=128.0))  # type: ignore[attr-defined]


def test_gradients_that_are_not_clipped_are_stepped_on_at_once() -> None:
    module = agent(DDPG)
    trainer = quiet_trainer(max_epochs=1, plugins=[scaled()])
    trainer.fit(module, loader(impressions()))
    assert all(group["fused"] for optimizer in trainer.optimizers for group in optimizer.param_groups)
    assert math.isfinite(trainer.callback_metrics[f"train/critic_loss/{TASKS[0]}"])
