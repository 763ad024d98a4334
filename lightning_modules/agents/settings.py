"""The hyper-parameters of agents, checked in one place."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from datamodules.sessions.rewards import Reward, RewardName
from lightning_modules.agents.behaviour_policies import Behaviour, BehaviourName
from lightning_modules.agents.reference_distance import DistanceName
from lightning_modules.utilities.serialization import Described


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """Settings of an actor and its critics; the published names are kept.

    Attributes:
        gamma: Discount of the next row's value, in [0, 1).
        embed_dim: Size of the critics' embeddings; if it is that of the actor's, they start from the actor's weights.
        bottom_mlp_dims: Size of every hidden layer of a critic's bottom, first to last.
        tower_mlp_dims: Size of every hidden layer of a critic's tower, first to last.
        dropout: Share of the critics' hidden units that are dropped in training.
        critic_activation: See :class:`NonPositiveCritic`.
        reward: What an action earns: ``log_loss``, ``absolute_error``, or a :class:`Reward`.
        behaviour: The behaviour policy, whose actions fill the replay: ``uniform`` for random actions, ``actor`` for
            the actor's, ``noisy_actor`` for the actor's with noise, or a :class:`Behaviour`.
        noise_mean: Mean of the noise of ``noisy_actor``.
        noise_std: Standard deviation of that noise.
        noise_clip: Largest absolute noise.
        memory_size: Number of transitions that the replay holds.
        batch_size: Transitions of the replay for one update.
        actor_reg: Weight of the actor's distance to its frozen reference, the actor as it was given.
        actor_reg_distance: That distance: the mean squared difference of their actions, or of their parameters, as in
            the code published with RMTL.
        tau: Share of a soft update, in (0, 1].
        soft_update_freq: Updates of the critics for each soft update.
        actor_update_freq: Updates of the critics for each update of the actor.
        init_training_step: Updates of the critics before the actor begins to learn.
        actor_frozen: Whether the actor does not learn at all.
        ips: Whether the critics' errors have class-balancing weights, which RMTL calls inverse propensities.
        ips_actor: Whether the values in the actor's loss have these weights too, as in the code published with RMTL.
        actor_lr: Learning rate of the actor's Adam.
        critic_lr: Learning rate of the critics' Adam.
        gradient_clip_val: Largest norm of the gradient of the actor, and of that of all critics; None does not clip.

    Raises:
        ValueError: If a setting is out of its range.
    """

    gamma: float = 0.9
    embed_dim: int = 128
    bottom_mlp_dims: Sequence[int] = (512, 256)
    tower_mlp_dims: Sequence[int] = (128, 64)
    dropout: float = 0.2
    critic_activation: Literal["softplus", "relu"] = "softplus"
    reward: RewardName | Reward = "log_loss"
    behaviour: BehaviourName | Behaviour = "uniform"
    noise_mean: float = 0.0
    noise_std: float = 0.4
    noise_clip: float = 3e-3
    memory_size: int = 500_000
    batch_size: int = 512
    actor_reg: float = 0.0
    actor_reg_distance: DistanceName = "actions"
    tau: float = 0.2
    soft_update_freq: int = 2
    actor_update_freq: int = 2
    init_training_step: int = 10_000
    actor_frozen: bool = False
    ips: bool = False
    ips_actor: bool = False
    actor_lr: float = 1e-3
    critic_lr: float = 1e-3
    gradient_clip_val: float | None = None

    def __post_init__(self) -> None:
        self._refuse_missing()
        for name in ("memory_size", "batch_size", "soft_update_freq", "actor_update_freq"):
            self._require(name, getattr(self, name) >= 1, "must be at least 1")
        self.require_not_negative("init_training_step", "actor_reg", "noise_std", "noise_clip")
        self.require_positive("actor_lr", "critic_lr", "gradient_clip_val")
        self._require("gamma", 0 <= self.gamma < 1, "is the discount of the next row's value and must lie in [0, 1)")
        self._require("tau", 0 < self.tau <= 1, "is the share of a soft update and must lie in (0, 1]")
        if self.memory_size < self.batch_size:
            raise ValueError(
                f"memory_size, the replay's capacity, must hold at least a batch: got {self.memory_size} for a "
                f"batch_size of {self.batch_size}"
            )

    def critic_options(self) -> dict[str, Any]:
        """Return the arguments of :class:`Critics`, beside the sizes of the data."""
        names = ("embed_dim", "bottom_mlp_dims", "tower_mlp_dims", "dropout", "critic_activation")
        return {name: getattr(self, name) for name in names}

    def actor_updates(self, updates: int) -> int:
        """Return how often the actor is updated in so many updates of the critics."""
        since = 0 if self.actor_frozen else max(0, updates - self.init_training_step)
        return since // self.actor_update_freq

    def plain(self) -> dict[str, Any]:
        """Return all settings as the plain values that checkpoints hold."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.spec() if isinstance(value, Described) else value for name, value in values.items()}

    def require_not_negative(self, *names: str) -> None:
        """Refuse negative values of settings.

        Raises:
            ValueError: If there is one; it says which.
        """
        for name in names:
            self._require(name, getattr(self, name) >= 0, "must be at least 0")

    def require_positive(self, *names: str) -> None:
        """Refuse values of settings that are not above 0; None, which leaves a setting out, passes.

        Raises:
            ValueError: If there is one; it says which.
        """
        for name in names:
            value = getattr(self, name)
            self._require(name, value is None or value > 0, "must be above 0")

    def _refuse_missing(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) is None and field.default is not None:
                raise ValueError(f"{field.name} needs a value, got None; leave it out for {field.default!r}")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{name} {rule}, got {getattr(self, name)}")
