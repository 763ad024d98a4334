"""A deterministic actor that follows the gradient of its critics."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from datamodules.sessions.transitions import Transition
from lightning_modules.agents.actor_critic import ActorCritic, ActorLoss
from lightning_modules.agents.settings import AgentSettings
from lightning_modules.multitask import MultiTaskModel
from lightning_modules.utilities.precision import probability_of


class DDPG(ActorCritic):
    """Deep deterministic policy gradient with one critic a task.

    Lillicrap et al., "Continuous control with deep reinforcement learning", ICLR 2016,
    https://arxiv.org/abs/1509.02971. With ``a(s)`` the actor's probabilities, ``Q_k`` the critic of task ``k`` and
    ``a', Q'_k`` their targets, the critics minimise ``mean (Q_k(s, a) - y_k)^2`` for every task, where::

        y_k = r_k + gamma * Q'_k(s', a'_k(s')) * (1 - done)

    and the actor ``-sum_k mean Q_k(s, a_k(s)) + actor_reg * mean (a(s) - reference(s))^2``, where ``ips_actor`` weighs
    the values and ``actor_reg_distance`` has another distance. ``train/bc_loss`` is the distance to the reference.

    The paper updates the actor and the targets after every update of the critics, and explores with an
    Ornstein-Uhlenbeck process; what fills the replay here is the ``behaviour``, and every task has a critic of its own
    reward instead of one for their sum, which is the same for the actor.

    Args:
        field_sizes: See :class:`ActorCritic`.
        num_numerical: See :class:`ActorCritic`.
        tasks: See :class:`ActorCritic`.
        actor: Checkpoint of a multi-task model, a model, or ``{"class_path": ..., "init_args": {...}}`` of one whose
            weights are drawn.
        options: The settings of :class:`AgentSettings`.

    Raises:
        ValueError: See :class:`ActorCritic`.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        actor: str | dict[str, Any] | MultiTaskModel,
        **options: Any,
    ) -> None:
        settings = AgentSettings(**options)
        super().__init__(field_sizes, num_numerical, tasks, actor, settings)

    def next_value(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the targets' value of what the actor's target does next, float [n, tasks]."""
        action = probability_of(self.actor_target(categorical, numerical))
        value: Tensor = self.critics_target(categorical, numerical, action)
        return value

    def actor_loss(self, rows: Transition) -> ActorLoss:
        """Return the actor's loss, with its difference to the reference."""
        action = self(rows.categorical, rows.numerical)
        difference = self.reference_loss(rows, action)
        value = self.action_values(rows, action)
        return ActorLoss(self.settings.actor_reg * difference - value.mean(dim=0).sum(), difference.detach())
