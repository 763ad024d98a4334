"""The published agent's update in plain PyTorch, to measure ours against.

A re-statement written from what is known of RMTL (Liu et al., "Multi-Task Recommendations with Reinforcement Learning",
WWW 2023, https://arxiv.org/abs/2302.03328) and its code; nothing of it is copied.

Known: the sizes, the learning rates, tau and all frequencies; ESMM with one bottom and two towers as the actor, without
BatchNorm, and a copy of it as it was before; two critics that end in -ReLU, each with embeddings of its own; a replay
from which every step draws without replacement over all that it holds; a loss for each critic that is computed from the
transitions alone, so that the target actor runs once for each; that the actor's loss comes with its difference to the
copy; and that the offline recipe updates the critics only.

Assumed: a replay of NumPy arrays to which one transition after the other is added, with states as one float array of
categories and features; the order of the update, which is DDPG's; Adam with torch's defaults; targets moved parameter
by parameter in Python; losses read with ``item()``. Three assumptions favour this side: actors and targets compute
without dropout, targets without a graph, and the actor's step leaves out the critics' own gradients.
"""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.published.layers import FieldVectors, network, tower

Network = TypeVar("Network", bound=nn.Module)
LEARNING_RATE, GAMMA, TAU, ACTOR_REG = 1e-3, 0.9, 0.2, 0.0
SOFT_UPDATE_FREQ = ACTOR_UPDATE_FREQ = 2


class Sizes(NamedTuple):
    """Sizes of the data and, as published, of the networks."""

    field_sizes: Sequence[int]
    num_numerical: int
    embedding_dim: int = 128
    bottom_dims: tuple[int, ...] = (512, 256)
    tower_dims: tuple[int, ...] = (128, 64)
    dropout: float = 0.2

    @property
    def tower_layers(self) -> list[int]:
        """Sizes of a tower's layers, that of its input first."""
        return [self.bottom_dims[-1], *self.tower_dims]


class Rows(NamedTuple):
    """A batch of transitions: states [n, fields + features], actions and rewards [n, 2], and whether they are last."""

    state: Tensor
    action: Tensor
    next_state: Tensor
    reward: Tensor
    done: Tensor


class Replay:
    """One NumPy array a column; the oldest transitions are overwritten."""

    def __init__(self, capacity: int, state_dim: int, action_dim: int) -> None:
        shapes: dict[str, tuple[int, ...]] = {
            "state": (state_dim,),
            "action": (action_dim,),
            "next_state": (state_dim,),
        }
        shapes |= {"reward": (action_dim,), "done": ()}
        self.columns = {name: np.zeros((capacity, *shape), dtype=np.float32) for name, shape in shapes.items()}
        self.capacity, self.size, self.place = capacity, 0, 0

    def store(self, *transition: np.ndarray) -> None:
        """Add one transition, its columns in the order of :class:`Rows`."""
        for column, value in zip(self.columns.values(), transition, strict=True):
            column[self.place] = value
        self.place = (self.place + 1) % self.capacity
        self.size = min(self.size + 1, self.capacity)

    def sample(self, batch_size: int) -> Rows:
        """Draw transitions without replacement, which takes time for all that are held."""
        drawn = np.random.choice(self.size, batch_size, replace=False)  # noqa: NPY002 (what the published code calls)
        return Rows(**{name: torch.from_numpy(column[drawn]) for name, column in self.columns.items()})


class StateVectors(FieldVectors):
    """The vectors of states, in which fields and features are numbers of one row."""

    def forward(self, state: Tensor) -> Tensor:  # type: ignore[override]  # states in place of their parts
        """Return the vectors of the states, [n, out_features]."""
        fields = len(self.offsets)
        return super().forward(state[:, :fields].long(), state[:, fields:])


class ESMM(nn.Module):
    """One bottom and two towers, the second of which predicts a conversion after a click."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = embedding(sizes)
        self.bottom = network([self.embedding.out_features, *sizes.bottom_dims], sizes.dropout, batch_norm=False)
        self.towers = nn.ModuleList(tower(sizes.tower_layers, sizes.dropout, batch_norm=False) for _ in range(2))

    def forward(self, state: Tensor) -> Tensor:
        """Return the probabilities of a click and of a click with a conversion, [n, 2]."""
        features = self.bottom(self.embedding(state))
        click, conversion = (torch.sigmoid(each(features).squeeze(1)) for each in self.towers)
        return torch.stack([click, click * conversion], dim=1)


class Critic(nn.Module):
    """The value of one task's action, at most 0."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = embedding(sizes)
        self.action = nn.Linear(1, sizes.embedding_dim)
        dims = [self.embedding.out_features + sizes.embedding_dim, *sizes.bottom_dims]
        self.bottom = network(dims, sizes.dropout, batch_norm=False)
        self.tower = tower(sizes.tower_layers, sizes.dropout, batch_norm=False)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the value of every row, [n], of actions [n, 1]."""
        vectors = torch.cat([self.embedding(state), self.action(action)], dim=1)
        return -torch.relu(self.tower(self.bottom(vectors)).squeeze(1))


class Agent:
    """The actor, its copy, two critics, their targets, and the update.

    Args:
        sizes: Sizes of the data and the networks.
        learns: Whether the actor learns; the offline recipe's does not.
    """

    def __init__(self, sizes: Sizes, *, learns: bool) -> None:
        self.actor, self.actor_target = twins(ESMM, sizes)
        self.pretrained = copy.deepcopy(self.actor_target)
        pairs = [twins(Critic, sizes) for _ in range(2)]
        self.critics, self.critics_target = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        self.critic_optimizers = [torch.optim.Adam(each.parameters(), lr=LEARNING_RATE) for each in self.critics]
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=LEARNING_RATE) if learns else None
        self.actor.eval()
        self.updates = 0

    def update(self, rows: Rows) -> list[float]:
        """Update one critic after the other, then what is due of the actor and the targets; return the losses."""
        self.updates += 1
        losses = [self.update_critic(task, rows).item() for task in range(2)]
        if self.actor_optimizer is not None and self.updates % ACTOR_UPDATE_FREQ == 0:
            losses += [loss.item() for loss in self.update_actor(rows, self.actor_optimizer)]
        if self.updates % SOFT_UPDATE_FREQ == 0:
            self.update_targets()
        return losses

    def update_critic(self, task: int, rows: Rows) -> Tensor:
        """Take one step of a task's critic and return its loss."""
        loss = self.critic_loss(task, rows)
        self.critic_optimizers[task].zero_grad()
        loss.backward()
        self.critic_optimizers[task].step()
        return loss

    def critic_loss(self, task: int, rows: Rows) -> Tensor:
        """Return the squared error of a task's critic."""
        with torch.no_grad():
            next_action = self.actor_target(rows.next_state)
            next_value = self.critics_target[task](rows.next_state, next_action[:, [task]])
            target = rows.reward[:, task] + GAMMA * next_value * (1 - rows.done)
        return nn.functional.mse_loss(self.critics[task](rows.state, rows.action[:, [task]]), target)

    def update_actor(self, rows: Rows, optimizer: torch.optim.Optimizer) -> tuple[Tensor, Tensor]:
        """Take one step of the actor and return both parts of its loss."""
        for critic in self.critics:
            critic.eval().requires_grad_(False)
        loss, difference = self.actor_loss(rows)
        optimizer.zero_grad()
        (loss + ACTOR_REG * difference).backward()
        optimizer.step()
        for critic in self.critics:
            critic.train().requires_grad_(True)
        return loss, difference

    def actor_loss(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the value of the actor's actions, the other way round, and their difference to the pretrained's."""
        action = self.actor(rows.state)
        values = [critic(rows.state, action[:, [task]]).mean() for task, critic in enumerate(self.critics)]
        return -torch.stack(values).sum(), nn.functional.mse_loss(action, self.pretrained(rows.state))

    @torch.no_grad()
    def update_targets(self) -> None:
        """Move every parameter of every target towards its source."""
        pairs: list[tuple[nn.Module, nn.Module]] = list(zip(self.critics, self.critics_target, strict=True))
        if self.actor_optimizer is not None:
            pairs.append((self.actor, self.actor_target))
        for source, target in pairs:
            for own, theirs in zip(target.parameters(), source.parameters(), strict=True):
                own.copy_(TAU * theirs + (1 - TAU) * own)


def twins(kind: Callable[[Sizes], Network], sizes: Sizes) -> tuple[Network, Network]:
    """Return a network and its target, which computes without dropout."""
    source, target = kind(sizes), kind(sizes)
    target.load_state_dict(source.state_dict())
    return source, target.eval().requires_grad_(False)


def embedding(sizes: Sizes) -> StateVectors:
    """Return the embedding of states."""
    return StateVectors(sizes.field_sizes, sizes.num_numerical, sizes.embedding_dim)
