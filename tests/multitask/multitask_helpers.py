"""Planted impressions and the models that the shared tests run over."""

import inspect
from typing import Any

import torch

from datamodules.batches import ImpressionBatch
from datamodules.loader import BatchLoader
from lightning_modules import multitask
from lightning_modules.multitask import MultiTaskModel

MODELS: list[type[MultiTaskModel]] = [
    model
    for model in (getattr(multitask, name) for name in multitask.__all__)
    if inspect.isclass(model) and issubclass(model, MultiTaskModel) and not inspect.isabstract(model)
]

FIELD_SIZES = (10, 20)
TASKS = ("click", "cart", "pay")
SIZES: dict[str, Any] = {"embedding_dim": 8, "bottom_dims": (16, 8), "tower_dims": (4,)}
EXPERTS: dict[str, dict[str, int]] = {
    "OMoE": {"num_experts": 2},
    "MMoE": {"num_experts": 2},
    "PLE": {"num_specific_experts": 1, "num_shared_experts": 1},
    "MetaHeac": {"num_experts": 2, "num_critics": 3},
}


def build(model: type[MultiTaskModel], *, num_tasks: int = 2, num_numerical: int = 2, **options: Any) -> Any:
    arguments = {**SIZES, **EXPERTS.get(model.__name__, {}), **options}
    return model(FIELD_SIZES, num_numerical, TASKS[:num_tasks], **arguments)


def planted(count: int = 64, *, num_tasks: int = 2, num_numerical: int = 2, seed: int = 0) -> ImpressionBatch:
    """Return rows of a funnel: every step is taken with a probability that one field and one feature decide."""
    generator = torch.Generator().manual_seed(seed)
    categorical = torch.stack([torch.randint(0, size, (count,), generator=generator) for size in FIELD_SIZES], dim=1)
    numerical = torch.randn(count, num_numerical, generator=generator)
    effect = torch.linspace(-2, 2, FIELD_SIZES[0])[categorical[:, 0]] + numerical.sum(dim=1)
    steps = torch.rand(count, num_tasks, generator=generator) < torch.sigmoid(effect + 0.5)[:, None]
    number = torch.arange(count)
    return ImpressionBatch(categorical, numerical, steps.cumprod(dim=1).float(), number // 4, number // 4, number)


def loader(rows: ImpressionBatch, *, shuffle: bool = False) -> Any:
    return BatchLoader(rows, 128, shuffle=shuffle, seed=0)
