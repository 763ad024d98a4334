"""Models and data that are refused before they are built: arguments that are null, models that do not fit the data."""

import inspect
from types import NoneType
from typing import Any, get_args

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningModule

from lightning_modules.cli.registry import SIZES
from lightning_modules.cli.type_hints import argument_hints, class_at


def refuse_nulls(section: str, spec: Any) -> None:
    """Refuse null for an argument that needs a value, which the parser lets pass.

    Args:
        section: ``model`` or ``data``.
        spec: That section of the configuration, with ``class_path`` and ``init_args``, or ``None``.

    Raises:
        MisconfigurationException: If there is one; the message names the option.
    """
    hints = argument_hints(class_at(spec["class_path"])) if spec is not None else {}
    for name, value in ((spec or {}).get("init_args") or {}).items():
        hint = hints.get(name, Any)
        is_nullable = hint in (Any, NoneType) or NoneType in get_args(hint) or name in SIZES
        if value is None and not is_nullable:
            raise MisconfigurationException(
                f"--{section}.{name} is null, but needs a value; leave it out for its default, if it has one"
            )


def refuse_mismatch(model: Any, data: Any) -> None:
    """Refuse a model without data, and one that needs sizes which this kind of data does not have.

    Args:
        model: The model's section of the configuration, with ``class_path`` and ``init_args``, or ``None``.
        data: The data's section, or ``None``.

    Raises:
        MisconfigurationException: If a model without data loaders of its own has no data, or a size without a default
            is neither given nor a property of the data, or one of the two is of whole catalogues and the other of
            labelled rows.
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
    needed = [size for size in SIZES if size in parameters and parameters[size].default is inspect.Parameter.empty]
    missing = [size for size in needed if given.get(size) is None and not hasattr(data_class, size)]
    if missing:
        raise MisconfigurationException(
            f"{model_class.__name__} needs {', '.join(missing)} of its data, which {data_class.__name__} does not "
            "have. Recommenders such as BiasedMF go with data of users and items, multi-task models such as MMoE with "
            "impressions, such as ImpressionsDataModule or KuaiRand"
        )
    _refuse_other_rows(model_class, data_class)


def _refuse_other_rows(model_class: type, data_class: type) -> None:
    # A model that does not say what it gives may be trained on anything.
    gives = getattr(model_class, "gives", None)
    has_catalogue = hasattr(data_class, "items_of_training")
    if gives == "scores" and not has_catalogue:
        raise MisconfigurationException(
            f"{model_class.__name__} ranks a catalogue for each user, and {data_class.__name__} has no "
            "items_of_training(), the items that users chose. Give the same tables to ImplicitFeedback"
        )
    if gives not in (None, "scores") and has_catalogue:
        raise MisconfigurationException(
            f"{model_class.__name__} is trained on labelled rows, and {data_class.__name__} gives items that users "
            "chose. Give the same tables to InteractionsDataModule, or take a model that ranks catalogues, such as MF"
        )
