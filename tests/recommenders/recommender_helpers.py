"""A small planted data set and the models that the shared tests run over."""

import inspect
from typing import Any

from datamodules import SyntheticInteractions
from lightning_modules import recommenders
from lightning_modules.recommenders import Recommender

MODELS: list[type[Recommender]] = [
    model
    for model in (getattr(recommenders, name) for name in recommenders.__all__)
    if inspect.isclass(model) and issubclass(model, Recommender) and not inspect.isabstract(model)
]


def planted_data() -> SyntheticInteractions:
    return SyntheticInteractions(
        num_users=60, num_items=40, num_interactions=2000, rank=2, scale=2.5, batch_size=64, seed=0
    )


def build(model: type[Recommender], data: SyntheticInteractions, **options: Any) -> Any:
    return model(num_users=data.num_users, num_items=data.num_items, **options)
