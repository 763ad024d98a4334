"""Sessions, small agents and what they learn from."""

from typing import Any

import torch
from torch import Tensor

from datamodules import SyntheticImpressions
from datamodules.batches import ImpressionBatch
from datamodules.loader import BatchLoader
from datamodules.sessions.datamodule import SessionsDataModule
from datamodules.sessions.transitions import Transition, logged_transitions
from lightning_modules.agents import DDPG, TD3BC, ActorCritic

AGENTS: list[type[ActorCritic]] = [DDPG, TD3BC]
TASKS = ("click", "pay")
FIELD_SIZES, NUM_NUMERICAL = (12, 5), 2
ACTOR: dict[str, Any] = {
    "class_path": "SharedBottom",
    "init_args": {"embedding_dim": 4, "bottom_dims": [8], "tower_dims": [4]},
}
SMALL: dict[str, Any] = {
    "embed_dim": 4,
    "bottom_mlp_dims": (16, 8),
    "tower_mlp_dims": (8,),
    "memory_size": 2048,
    "batch_size": 64,
    "init_training_step": 0,
}


def agent(kind: type[ActorCritic], *, field_sizes: Any = FIELD_SIZES, **options: Any) -> Any:
    return kind(field_sizes, NUM_NUMERICAL, TASKS, **{"actor": ACTOR, **SMALL, **options})


def impressions(sessions: int = 40, length: int = 5, *, seed: int = 0) -> ImpressionBatch:
    generator = torch.Generator().manual_seed(seed)
    count = sessions * length
    categorical = torch.stack([torch.randint(0, size, (count,), generator=generator) for size in FIELD_SIZES], dim=1)
    numerical = torch.randn(count, NUM_NUMERICAL, generator=generator)
    label = (torch.rand(count, len(TASKS), generator=generator) < torch.sigmoid(numerical[:, :1])).float()
    session = torch.arange(count) // length
    return ImpressionBatch(categorical, numerical, label.cumprod(dim=1), session, session, torch.arange(count))


def loader(rows: ImpressionBatch, batch_size: int = 50) -> Any:
    return BatchLoader(logged_transitions(rows), batch_size, shuffle=True, seed=0)


def evaluation_loader(rows: ImpressionBatch) -> Any:
    return BatchLoader(rows, 64)


def replayed(count: int = 32, *, seed: int = 0) -> Transition:
    """Return transitions as they come out of a replay."""
    generator = torch.Generator().manual_seed(seed)
    rows = logged_transitions(impressions(sessions=count // 4, length=4, seed=seed))
    action = torch.rand(rows.label.shape, generator=generator)
    return Transition(
        rows.categorical,
        rows.numerical,
        action,
        -(action - rows.label).abs(),
        rows.next_categorical,
        rows.next_numerical,
        rows.done,
        rows.label,
    )


def data(**options: Any) -> SessionsDataModule:
    drawn = SyntheticImpressions(num_categories=(30, 10, 5), **{"num_sessions": 400, "session_length": 5, **options})
    module = SessionsDataModule(drawn, batch_size=250, seed=0)
    module.setup()
    return module


def copied(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module: torch.nn.Module, before: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, before[name]) for name, value in module.state_dict().items())
