"""Reads a trained recommender from its checkpoint, whatever its class."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any, cast

from lightning_modules.checkpoints import imported_class, load_checkpoint, shortened
from lightning_modules.recommenders import Recommender

_EXPECTED = "give the checkpoint of a recommender of this project, such as those that fit writes"

#: What Lightning and its parser make of values of other types than a model's.
_MISFITS = (ArgumentError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def load_recommender(path: Path) -> Recommender:
    """Return the recommender of a checkpoint on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or one of something else than a recommender that is imported.
    """
    model_class = _class_of(path, _hyper_parameters(path))
    try:
        return model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except _MISFITS as error:
        raise ValueError(
            f"'{path}' does not fit {model_class.__name__}, which it names as its model: {shortened(error)}. "
            "Load it with the version of the project that wrote it."
        ) from error


def _hyper_parameters(path: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(path, _EXPECTED)
    found = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    return found if isinstance(found, dict) else {}


def _class_of(path: Path, hyper_parameters: dict[str, Any]) -> type[Recommender]:
    class_path = str(hyper_parameters.get("_class_path", ""))
    found = imported_class(class_path, cast(Any, Recommender))
    if found is not None:
        return found
    held = f"of '{class_path}'" if class_path else "that names no model"
    raise ValueError(f"'{path}' is a checkpoint {held}, not of a recommender that is imported here; {_EXPECTED}")
