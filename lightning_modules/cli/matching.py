"""Does a model fit the data that it is named with?"""

import inspect
from collections.abc import Iterable
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningModule

from lightning_modules.cli.classes import class_at

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
