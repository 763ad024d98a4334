"""The base of agents that learn an actor and critics from logged sessions."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

from datamodules.sessions.rewards import reward_function
from datamodules.sessions.transitions import LoggedTransition, Transition, transitions
from lightning_modules.agents.actors import StoredActor, build_actor, stored_actor
from lightning_modules.agents.base import Agent
from lightning_modules.agents.behaviour_policies import behaviour_policy
from lightning_modules.agents.class_balancing import class_balancing_weights
from lightning_modules.agents.diagnostics import IdleActorWarning
from lightning_modules.agents.model_inputs import Inputs
from lightning_modules.agents.reference_distance import distance_by_name
from lightning_modules.agents.settings import AgentSettings
from lightning_modules.agents.task_critics import Critics, frozen, reuse_gradients, soft_update
from lightning_modules.multitask import MultiTaskModel


class ActorLoss(NamedTuple):
    """What an actor's update minimises.

    Attributes:
        total: The loss, a single number.
        bc_loss: The part of it that keeps the actor near other actions, before it is weighed, without a gradient.
    """

    total: Tensor
    bc_loss: Tensor


class ActorCritic(Agent, ABC):
    """An actor, one critic a task, their targets, and the order in which they learn.

    The actor is a multi-task model whose probabilities for a row are its actions, valued by what they earn in the rest
    of the session. Every training batch is acted on and stored in the replay; one batch of the replay then updates the
    critics, every ``actor_update_freq`` such updates the actor, and every ``soft_update_freq`` the targets:
    ``target <- (1 - tau) * target + tau * source``. Numerical features are expected as the data modules give them,
    standardised.

    The actor is in evaluation mode throughout, while it learns too: its statistics of BatchNorm stay those of its own
    training, and without dropout the critics are asked about the very action that it takes. Critics have dropout on in
    their own updates, and off as targets and when the actor asks them.

    Logs, once an epoch, ``train/critic_loss`` (the mean of the tasks'), ``train/critic_loss/<task>``,
    ``train/q_mean/<task>``, ``train/q_std/<task>`` (the mean spread over a batch) and, in epochs in which the actor
    learns, ``train/actor_loss`` and ``train/bc_loss``; ``val/...`` and ``test/...`` hold every metric of
    :class:`MultiTaskMetrics` for the actor, and ``score`` and ``score/<task>`` (:class:`SessionScore`). A checkpoint
    holds the actor's description, the replay and all random states, so that a resumed training goes on bit for bit.

    Args:
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        num_numerical: Number of numerical features.
        tasks: Name of every task, in the order of the labels' columns.
        actor: Checkpoint of a multi-task model; or a model; or ``{"class_path": ..., "init_args": {...}}`` of one whose
            weights are drawn.
        settings: The hyper-parameters.

    Raises:
        ValueError: If a setting is out of its range, or the actor's fields, features or tasks are not those of the
            data. FileNotFoundError if there is no such actor.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        actor: str | dict[str, Any] | MultiTaskModel,
        settings: AgentSettings,
    ) -> None:
        super().__init__(tasks, reward_function(settings.reward), settings.memory_size)
        self.automatic_optimization = False
        self.settings = settings
        stored = stored_actor(actor, Inputs(field_sizes, num_numerical, tasks))
        self.save_hyperparameters(ignore=["actor", "settings"])
        self.save_hyperparameters({**settings.plain(), "actor": stored.description})
        self.distance = distance_by_name(settings.actor_reg_distance)
        self.behaviour = behaviour_policy(
            settings.behaviour, mean=settings.noise_mean, std=settings.noise_std, clip=settings.noise_clip
        )
        self._inputs = (field_sizes, num_numerical, tasks)
        self._make_actors(stored)
        self.critics, self.critics_target = self.new_critics()

    def _make_actors(self, stored: StoredActor) -> None:
        """Make the actor, its target and its reference, of the same weights and in evaluation mode."""
        self.actor = build_actor(stored)
        weights = self.actor.state_dict()
        self.actor_target, self.reference = (build_actor(stored._replace(weights=weights)) for _ in range(2))
        self.actor.requires_grad_(not self.settings.actor_frozen)
        for fixed in (self.actor_target, self.reference):
            fixed.requires_grad_(False)
        for each in (self.actor, self.actor_target, self.reference):
            each.eval()

    def new_critics(self) -> tuple[Critics, Critics]:
        """Return critics whose embeddings start from the actor's where the sizes are the same, and their target."""
        critics, target = (Critics(*self._inputs, **self.settings.critic_options()) for _ in range(2))
        critics.start_from(self.actor.shared_embedding())
        target.load_state_dict(critics.state_dict())
        return reuse_gradients(critics), target.requires_grad_(False).eval()

    def critic_pairs(self) -> list[tuple[Critics, Critics]]:
        """Return all critics, each with its target."""
        return [(self.critics, self.critics_target)]

    @abstractmethod
    def next_value(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the targets' value of the next rows, float [n, tasks]; called without a gradient."""

    @abstractmethod
    def actor_loss(self, rows: Transition) -> ActorLoss:
        """Return the actor's loss on a batch; called while the critics are frozen and in evaluation mode."""

    def train(self, mode: bool = True) -> "ActorCritic":
        """Let the critics, and nothing else, follow the mode."""
        super().train(mode)
        for module in (self.actor, self.actor_target, self.reference, *(target for _, target in self.critic_pairs())):
            module.eval()
        return self

    def configure_optimizers(self) -> list[Optimizer]:
        """Return the optimizer of all critics and, unless it is frozen, that of the actor."""
        critics = [parameter for critics, _ in self.critic_pairs() for parameter in critics.parameters()]
        optimizers: list[Optimizer] = [Adam(critics, lr=self.settings.critic_lr, fused=True)]
        if not self.settings.actor_frozen:
            optimizers.append(Adam(self.actor.parameters(), lr=self.settings.actor_lr, fused=True))
        return optimizers

    def on_train_start(self) -> None:
        """Begin or go on as every agent does; warn where the training is too short for the actor to be updated."""
        super().on_train_start()
        self._idle_actor = IdleActorWarning(self.settings)
        trainer = self.trainer
        if trainer.max_epochs not in (None, -1) and math.isfinite(trainer.num_training_batches):
            # An update takes a step of an optimizer at least; a training that ends earlier is told of at its end.
            most = int(trainer.max_epochs * trainer.num_training_batches)
            self._idle_actor.warn(most if trainer.max_steps == -1 else min(most, trainer.max_steps), ended=False)

    def on_train_end(self) -> None:
        """Warn of an actor that was to learn and was never updated."""
        super().on_train_end()
        self._idle_actor.warn(self.updates, ended=True)

    def training_step(self, batch: LoggedTransition, batch_idx: int) -> None:
        """Act on the batch, store what came of it, and learn from a batch of the replay."""
        self.replay.store(self.experience(batch))
        self.update(self.replay.sample(self.settings.batch_size, self.generator))
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # set outside the Trainer's class
        if self.trainer.is_last_batch or (every and (batch_idx + 1) % every == 0):
            self._watch.check()

    @torch.no_grad()
    def experience(self, batch: LoggedTransition) -> Transition:
        """Return the batch's transitions under the behaviour's actions."""
        action = self.behaviour.act(lambda: self(batch.categorical, batch.numerical), batch.label, self.generator)
        return transitions(batch, action, self.reward)

    def update(self, rows: Transition) -> None:
        """Update the critics and, if they are due, the actor and the targets."""
        critic_optimizer, *actor_optimizer = self._optimizers()
        self.updates += 1
        self._update_critics(rows, critic_optimizer)
        since = self.updates - self.settings.init_training_step
        if actor_optimizer and since > 0 and since % self.settings.actor_update_freq == 0:
            self._update_actor(rows, actor_optimizer[0])
        if self.updates % self.settings.soft_update_freq == 0:
            self._update_targets()

    def _update_critics(self, rows: Transition, optimizer: LightningOptimizer) -> None:
        with torch.no_grad():
            target = self._target(rows)
            weight = class_balancing_weights(rows.label) if self.settings.ips else torch.ones((), device=self.device)
        lookup = self.critics.look_up(rows.categorical)
        values = [critics.values(lookup, rows.numerical, rows.action) for critics, _ in self.critic_pairs()]
        loss = torch.stack([(weight * (value - target).square()).mean(dim=0) for value in values]).sum(dim=0)
        self._step(optimizer, loss.sum())
        self._observation.add_critics(loss.detach(), values[0].detach())
        self._watch.add(self.updates, loss.detach(), values[0].detach(), rows)

    def _target(self, rows: Transition) -> Tensor:
        going_on = ~rows.done
        if rows.done.device.type != "cpu":
            value = self.next_value(rows.next_categorical, rows.next_numerical)
            return rows.reward + self.settings.gamma * going_on.unsqueeze(1) * value
        # On a CPU nothing waits for the number of rows, and those behind a session's end need not be valued.
        value = self.next_value(rows.next_categorical[going_on], rows.next_numerical[going_on])
        target = rows.reward.clone()
        target[going_on] += self.settings.gamma * value
        return target

    def _update_actor(self, rows: Transition, optimizer: LightningOptimizer) -> None:
        with frozen(self.critics):
            loss = self.actor_loss(rows)
        self._step(optimizer, loss.total)
        self._observation.add_actor(loss.total.detach(), loss.bc_loss)

    def _step(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.settings.gradient_clip_val is not None:
            self._clip(optimizer, self.settings.gradient_clip_val)
        optimizer.step()

    def _clip(self, optimizer: LightningOptimizer, largest: float) -> None:
        """Clip the gradients, which half precision may have scaled; Lightning clips none that a fused step unscales."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            scaler.unscale_(optimizer.optimizer)
        clip_grad_norm_([each for group in optimizer.param_groups for each in group["params"]], largest)

    def _update_targets(self) -> None:
        pairs: list[tuple[nn.Module, nn.Module]] = [*self.critic_pairs()]
        if not self.settings.actor_frozen and self.updates > self.settings.init_training_step:
            pairs.append((self.actor, self.actor_target))
        soft_update(pairs, self.settings.tau)

    def reference_loss(self, rows: Transition, action: Tensor) -> Tensor:
        """Return the actor's distance to its reference, given its actions, float [n, tasks]."""
        return self.distance(self.actor, self.reference, rows, action)

    def action_values(self, rows: Transition, action: Tensor) -> Tensor:
        """Return the critics' values of the actor's actions, float [n, tasks]; weighed if ``ips_actor`` is set."""
        value: Tensor = self.critics(rows.categorical, rows.numerical, action)
        return class_balancing_weights(rows.label) * value if self.settings.ips_actor else value

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]
