"""Reads a trained recommender from its checkpoint."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any, cast

from lightning_modules.recommenders import CatalogueRecommender, Recommender
from lightning_modules.utilities.serialization import imported_class, load_checkpoint, reason_of

#: What scores users and items.
AnyRecommender = Recommender | CatalogueRecommender

_EXPECTED = "give the checkpoint of a recommender of this project, such as those that fit writes"

#: Errors of Lightning and its parser for hyper-parameters or weights that do not fit the model.
_MISFITS = (ArgumentError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def load_recommender(path: Path) -> AnyRecommender:
    """Return the recommender of a checkpoint on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or not that of an imported recommender class.
    """
    model_class = _class_of(path, _hyper_parameters(path))
    try:
        return model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except _MISFITS as error:
        raise ValueError(
            f"'{path}' does not fit {model_class.__name__}, which it names as its model: {reason_of(error)}. "
            "Load it with the version of the project that wrote it."
        ) from error


def _hyper_parameters(path: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(path, _EXPECTED)
    found = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    return found if isinstance(found, dict) else {}


def _class_of(path: Path, hyper_parameters: dict[str, Any]) -> type[AnyRecommender]:
    class_path = str(hyper_parameters.get("_class_path", ""))
    found: type[AnyRecommender] | None = imported_class(class_path, cast(Any, AnyRecommender))
    if found is not None:
        return found
    held = f"of '{class_path}'" if class_path else "that names no model"
    raise ValueError(f"'{path}' is a checkpoint {held}, not of a recommender that is imported here; {_EXPECTED}")
