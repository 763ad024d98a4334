"""Models, data and options as a configuration file has them, as far as they can be written."""

import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from os import PathLike, fspath
from typing import Any

import pytorch_lightning as pl

from datamodules.in_memory import InMemoryDataModule
from lightning_modules.utilities.serialization import Described
from lossmith.adaptation import Adapted

#: What Lightning adds to the hyper-parameters of what it has built itself.
_NOTES = ("_instantiator", "_class_path")


class IndescribableError(ValueError):
    """An object that no configuration file can name."""


def described_model(model: str | type | pl.LightningModule) -> dict[str, Any]:
    """Return the section ``model`` of a configuration.

    Args:
        model: A class, its name, or an object whose hyper-parameters are saved.

    Raises:
        IndescribableError: If its class cannot be imported, or its arguments are not known or no plain values.
    """
    if not isinstance(model, pl.LightningModule):
        return {"class_path": model if isinstance(model, str) else class_path(model)}
    kind = getattr(model, "adapted_from", None)
    if kind is None:
        return {"class_path": class_path(type(model)), "init_args": _hyper_parameters(model, type(model))}
    module = {"class_path": class_path(kind), "init_args": _hyper_parameters(model, kind)}
    return {"class_path": class_path(Adapted), "init_args": {"module": module, "gives": vars(type(model))["hands"]}}


def described_data(data: str | type | pl.LightningDataModule) -> dict[str, Any]:
    """Return the section ``data`` of a configuration; as for :func:`described_model`."""
    if not isinstance(data, pl.LightningDataModule):
        return {"class_path": data if isinstance(data, str) else class_path(data)}
    if isinstance(data, InMemoryDataModule):
        return {"class_path": class_path(type(data)), "init_args": plain(data.given_arguments())}
    return {"class_path": class_path(type(data)), "init_args": _hyper_parameters(data, type(data))}


def plain(value: Any) -> Any:
    """Return an option's value as plain values: objects become their class and arguments.

    Raises:
        IndescribableError: If it is something else.
    """
    if isinstance(value, Described):
        return value.spec()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, type):
        return {"class_path": class_path(value)}
    if is_dataclass(value):
        arguments = {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.init}
        return {"class_path": class_path(type(value)), "init_args": arguments}
    if isinstance(value, PathLike):
        return fspath(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise IndescribableError(f"an argument is a {type(value).__name__}, which no text of a configuration stands for")


def class_path(cls: type) -> str:
    """Return the path under which a class can be imported.

    Raises:
        IndescribableError: If there is none.
    """
    try:
        found = pkgutil.resolve_name(f"{cls.__module__}:{cls.__qualname__}")
    except (ImportError, AttributeError, ValueError):
        found = None
    if found is not cls or "." in cls.__qualname__:
        raise IndescribableError(f"the class {cls.__qualname__} is not at the top of a module")
    return f"{cls.__module__}.{cls.__qualname__}"


def _hyper_parameters(each: pl.LightningModule | pl.LightningDataModule, kind: type) -> dict[str, Any]:
    saved = {name: value for name, value in each.hparams.items() if name not in _NOTES}
    for name, parameter in inspect.signature(kind).parameters.items():
        is_named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        # What is not saved may be the default, but only if the object says so.
        if is_named and name not in saved and not _is_default(each, parameter):
            raise IndescribableError(
                f"{kind.__name__} does not keep its argument '{name}': call self.save_hyperparameters() in its __init__"
            )
    arguments: dict[str, Any] = plain(saved)
    return arguments


def _is_default(each: object, parameter: inspect.Parameter) -> bool:
    return parameter.default is not parameter.empty and getattr(each, parameter.name, ...) is parameter.default
