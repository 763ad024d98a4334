"""The classes that options take by name."""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningDataModule, LightningModule

import callbacks
import datamodules
from lightning_modules import agents, losses, multitask, recommenders
from lightning_modules.losses import Loss
from lightning_modules.search import strategies

#: Imported so that their classes need no path, and their checkpoints load.
_PACKAGES = (datamodules, callbacks, agents, losses, multitask, recommenders, strategies)


#: The sections of a configuration that name a class, and what it must be.
SECTIONS: Mapping[str, type] = {"model": LightningModule, "data": LightningDataModule}


def named(base: type) -> dict[str, type]:
    """Return the project's classes that an option of this type takes, by their names."""
    members = {name: each for package in _PACKAGES for name, each in vars(package).items() if isinstance(each, type)}
    return {
        name: members[name]
        for name in sorted(members)
        if issubclass(members[name], base) and not _is_base(members[name])
    }


def bases_in(hint: Any) -> Iterator[type]:
    """Yield the classes that a type hint asks for: itself, its alternatives, its elements, or what it returns."""
    arguments = get_args(hint)
    if not arguments and isinstance(hint, type):
        yield hint
    for argument in arguments:
        yield from bases_in(argument)


def class_at(path: str) -> Any:
    """Return the class at a dotted path that the parser has imported to find its arguments."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules[module], name)


def argument_hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's arguments, and of those that it hands on to the classes it derives from."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = vars(base).get("__init__")
        if inspect.isfunction(own):
            hints |= get_type_hints(own)
    hints.pop("return", None)
    # The fields of a dataclass of settings are options as well.
    settings = [get_type_hints(hint) for hint in hints.values() if isinstance(hint, type) and is_dataclass(hint)]
    return {**{name: hint for each in settings for name, hint in each.items()}, **hints}


def _is_base(cls: type) -> bool:
    return inspect.isabstract(cls) or cls is Loss


#: What only the data knows of a model's inputs and outputs.
SIZES = ("num_users", "num_items", "field_sizes", "num_numerical", "tasks")


def check_match(model: Any, data: Any, sizes: Iterable[str]) -> None:
    """Refuse a model without data, and one that needs to know of the data what this kind of data does not have.

    Args:
        model: The model's section of the configuration, with ``class_path`` and ``init_args``, or ``None``.
        data: The data's section, or ``None``.
        sizes: Arguments of models that come from properties of the data.

    Raises:
        MisconfigurationException: If an argument without a default is neither given nor a property of the data, or a
            model that does not bring its own data has none.
    """
    if model is None:
        return
    model_class = class_at(model["class_path"])
    if data is None:
        if model_class.train_dataloader is LightningModule.train_dataloader:
            raise MisconfigurationException("--data is missing; give it there or in a file named with --config")
        return
    data_class = class_at(data["class_path"])
    parameters, given = inspect.signature(model_class).parameters, model.get("init_args") or {}
    needed = [size for size in sizes if size in parameters and parameters[size].default is inspect.Parameter.empty]
    missing = [size for size in needed if given.get(size) is None and not hasattr(data_class, size)]
    if missing:
        raise MisconfigurationException(
            f"{model_class.__name__} needs {', '.join(missing)} of its data, which {data_class.__name__} does not "
            "have. Recommenders such as BiasedMF go with data of users and items, multi-task models such as MMoE with "
            "impressions, such as ImpressionsDataModule or KuaiRand"
        )


def knows_sizes(data: Any) -> bool:
    """Whether the class of the data's section tells models any size."""
    return any(hasattr(class_at(data["class_path"]), size) for size in SIZES)
