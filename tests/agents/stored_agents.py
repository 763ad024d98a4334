"""An agent's checkpoint with drawn critics, as files hold it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lightning_modules.agents import NonPositiveCritic

SIZES: dict[str, Any] = {"embed_dim": 4, "bottom_mlp_dims": [8, 6], "tower_mlp_dims": [3]}


def drawn_critics(
    field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str], *, dropout: float = 0.5, seed: int = 0
) -> list[NonPositiveCritic]:
    """Return one critic a task, whose values clearly depend on the row and the action."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"embedding_dim": 4, "bottom_dims": (8, 6), "tower_dims": (3,)}
        critics = [NonPositiveCritic(field_sizes, num_numerical, dropout=dropout, **sizes) for _ in tasks]
        for critic in critics:
            for parameter in critic.parameters():
                torch.nn.init.normal_(parameter, std=0.7)
    return critics


def write_agent(
    path: Path, field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str], **options: Any
) -> list[NonPositiveCritic]:
    """Write the checkpoint of an agent and return its critics, in evaluation mode."""
    critics = drawn_critics(field_sizes, num_numerical, tasks, **options)
    state = {
        f"critics.of_tasks.{task}.{name}": value
        for task, critic in enumerate(critics)
        for name, value in critic.state_dict().items()
    }
    arguments = {
        "field_sizes": list(field_sizes),
        "num_numerical": num_numerical,
        "tasks": list(tasks),
        "dropout": options.get("dropout", 0.5),
        "critic_activation": "softplus",
        **SIZES,
    }
    torch.save({"state_dict": state, "hyper_parameters": arguments}, path)
    return [critic.eval() for critic in critics]
