"""The classes that options take by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule

import callbacks
import datamodules
from lightning_modules import agents, losses, multitask, recommenders
from lightning_modules.cli.type_hints import class_at
from lightning_modules.search import space, strategies

#: Imported so that their classes need no path, and their checkpoints load.
_PACKAGES = (datamodules, callbacks, agents, losses, multitask, recommenders, space, strategies)

#: The sections of a configuration that name a class, and what it must be.
SECTIONS: Mapping[str, type] = {"model": LightningModule, "data": LightningDataModule}
#: Arguments of models that come from the data.
SIZES = ("num_users", "num_items", "field_sizes", "num_numerical", "tasks")


def named(base: type) -> dict[str, type]:
    """Return the project's classes that an option of this type takes, by their names."""
    members = {name: each for package in _PACKAGES for name, each in vars(package).items() if isinstance(each, type)}
    return {
        name: members[name]
        for name in sorted(members)
        if issubclass(members[name], base) and not inspect.isabstract(members[name])
    }


def knows_sizes(data: Any) -> bool:
    """Whether the class of the data's section tells models any size."""
    return any(hasattr(class_at(data["class_path"]), size) for size in SIZES)
