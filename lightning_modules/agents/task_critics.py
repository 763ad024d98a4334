"""The critics of all tasks, and how to read them from an agent's checkpoint."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lightning_modules.agents.critic import NonPositiveCritic
from lightning_modules.layers import FieldEmbedding
from lightning_modules.layers.field_lookup import FieldLookup
from lightning_modules.layers.table_gradient import ReusedGradient
from lightning_modules.utilities.serialization import load_checkpoint

#: What to give where critics are read from a file.
EXPECTED_AGENT = "give the checkpoint of a DDPG or TD3BC agent, as fit writes it"
_PREFIX = "critics."
_SIZES = ("field_sizes", "num_numerical", "tasks", "embed_dim", "bottom_mlp_dims", "tower_mlp_dims", "dropout")


class Critics(nn.Module):
    """One non-positive critic a task, each with its own embedding.

    Args:
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        num_numerical: Number of numerical features.
        tasks: Name of every task, in the order of the actions' columns.
        embed_dim: Size of every embedding.
        bottom_mlp_dims: Size of every hidden layer of a bottom, first to last.
        tower_mlp_dims: Size of every hidden layer of a tower, first to last.
        dropout: Share of hidden units that are dropped in training.
        critic_activation: See :class:`NonPositiveCritic`.

    Raises:
        ValueError: If a size is not positive, there are no tasks, or there is no such activation.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        embed_dim: int = 128,
        bottom_mlp_dims: Sequence[int] = (512, 256),
        tower_mlp_dims: Sequence[int] = (128, 64),
        dropout: float = 0.2,
        critic_activation: Literal["softplus", "relu"] = "softplus",
    ) -> None:
        super().__init__()
        if not tasks:
            raise ValueError("critics value the actions of tasks, and there are none; name at least one")
        self.field_sizes, self.num_numerical, self.tasks = tuple(field_sizes), num_numerical, tuple(tasks)
        critics = [
            NonPositiveCritic(
                field_sizes,
                num_numerical,
                activation=critic_activation,
                embedding_dim=embed_dim,
                bottom_dims=bottom_mlp_dims,
                tower_dims=tower_mlp_dims,
                dropout=dropout,
            )
            for _ in tasks
        ]
        self.of_tasks: Sequence[NonPositiveCritic] = nn.ModuleList(critics)  # type: ignore[assignment]  # acts as one

    def forward(self, categorical: Tensor, numerical: Tensor, action: Tensor) -> Tensor:
        """Return the value of every row's action for every task.

        Args:
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].
            action: Predicted probability of every task, float [n, tasks].

        Returns:
            Float [n, tasks], at most 0.
        """
        return self.values(self.look_up(categorical), numerical, action)

    def look_up(self, categorical: Tensor) -> FieldLookup:
        """Find the rows' vectors, which all critics of the same fields can share, int64 [n, fields]."""
        return self.of_tasks[0].look_up(categorical)

    def values(self, lookup: FieldLookup, numerical: Tensor, action: Tensor) -> Tensor:
        """Return what ``forward`` returns for rows that have been looked up."""
        columns = zip(self.of_tasks, action.unbind(1), strict=True)
        return torch.stack([critic.value(lookup, numerical, column) for critic, column in columns], dim=1)

    def start_from(self, embedding: FieldEmbedding | None) -> None:
        """Give every critic the weights of a model's embedding; one of other sizes leaves them as they are."""
        for critic in self.of_tasks if embedding is not None else ():
            own, given = critic.embedding.state_dict(), cast(FieldEmbedding, embedding).state_dict()
            if {name: each.shape for name, each in own.items()} == {name: each.shape for name, each in given.items()}:
                critic.embedding.load_state_dict(given)


def reuse_gradients(critics: Critics) -> Critics:
    """Let critics of a training loop that drops every gradient before the next reuse its memory, and return them."""
    for critic in critics.of_tasks:
        critic.table_gradient = ReusedGradient()
    return critics


def load_critics(path: str | Path) -> Critics:
    """Return the critics of an agent's checkpoint, frozen, in evaluation mode and on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no agent's checkpoint.
    """
    return critics_of(read_checkpoint(path, EXPECTED_AGENT), path)


def critics_of(checkpoint: Mapping[str, Any], path: str | Path) -> Critics:
    """Return the critics of what :func:`read_checkpoint` read from a path, as :func:`load_critics` does.

    Raises:
        ValueError: If it is no agent's checkpoint.
    """
    found = checkpoint.get("hyper_parameters")
    arguments = found if isinstance(found, dict) else {}
    state = {name.removeprefix(_PREFIX): each for name, each in _state(checkpoint).items() if name.startswith(_PREFIX)}
    if not state or not {*_SIZES, "critic_activation"} <= set(arguments):
        held = str(arguments.get("_class_path", "something else")).rpartition(".")[2]
        raise ValueError(f"'{path}' is a checkpoint of {held}, not of an agent with critics; {EXPECTED_AGENT}")
    critics = Critics(**{name: arguments[name] for name in (*_SIZES, "critic_activation")})
    try:
        critics.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"the critics in '{path}' do not have the sizes that it names: {error}") from error
    return critics.requires_grad_(False).eval()


def read_checkpoint(path: str | Path, expected: str) -> dict[str, Any]:
    """Return what a checkpoint with weights holds; see :func:`load_checkpoint`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or holds no weights.
    """
    checkpoint = load_checkpoint(path, expected)
    if not isinstance(checkpoint, dict) or not _state(checkpoint):
        raise ValueError(f"'{path}' holds no weights; {expected}")
    return checkpoint


def _state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    state = checkpoint.get("state_dict")
    return state if isinstance(state, dict) else {}


@torch.no_grad()
def soft_update(pairs: Iterable[tuple[nn.Module, nn.Module]], tau: float) -> None:
    """Move the targets, the second of each pair, ``target <- (1 - tau) * target + tau * source``."""
    for source, target in pairs:
        for own, theirs in zip(target.parameters(), source.parameters(), strict=True):
            own.lerp_(theirs, tau)


@contextmanager
def frozen(critics: Critics) -> Iterator[None]:
    """Keep critics in evaluation mode and without gradients of their own, which an actor's update does not need."""
    before = critics.training
    trained = [parameter for parameter in critics.parameters() if parameter.requires_grad]
    critics.eval().requires_grad_(False)
    try:
        yield
    finally:
        critics.train(before)
        for parameter in trained:
            parameter.requires_grad_(True)
