"""The optimizer that stands behind a null in a model's settings, written out so that they keep their meaning."""

import inspect
from typing import Any

from torch.optim import Adam

from lightning_modules.core.trained_module import TrainedModule
from lightning_modules.utilities.serialization import class_path, imported_class


def explicit_optimizer(model: Any) -> dict[str, Any] | None:
    """Return class and all arguments of the optimizer that a model uses where none is given.

    Args:
        model: The model's section of a configuration, with ``class_path`` and ``init_args``.

    Returns:
        ``{"class_path": ..., "init_args": {...}}``; ``None`` if one is given, or the model decides for itself.
    """
    arguments = model.get("init_args") if isinstance(model, dict) else None
    if not isinstance(arguments, dict) or "optimizer" not in arguments or arguments["optimizer"] is not None:
        return None
    cls = imported_class(str(model.get("class_path")), TrainedModule)
    if cls is None or cls.configure_optimizers is not TrainedModule.configure_optimizers:
        return None
    optimizer = cls.default_optimizer_class
    return {"class_path": class_path(optimizer), "init_args": {**_defaults_of(optimizer), **cls.default_optimizer()}}


def with_explicit_optimizer(settings: Any) -> Any:
    """Return settings, as a configuration file has them, with the model's optimizer written out."""
    optimizer = explicit_optimizer(settings.get("model")) if isinstance(settings, dict) else None
    if optimizer is None:
        return settings
    model = settings["model"]
    return {**settings, "model": {**model, "init_args": {**model["init_args"], "optimizer": optimizer}}}


def _defaults_of(optimizer: type[Adam]) -> dict[str, Any]:
    parameters = inspect.signature(optimizer).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
