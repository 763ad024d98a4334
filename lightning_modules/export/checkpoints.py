"""Reads a trained recommender from its checkpoint, whatever its class."""

import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from lightning_modules.recommenders import Recommender

_EXPECTED = "give the checkpoint of a recommender of this project, such as those that fit writes"


def load_recommender(path: Path) -> Recommender:
    """Return the recommender of a checkpoint on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or one of something else than a recommender that is imported.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint '{path}'; {_EXPECTED}")
    model_class = _class_of(path, _hyper_parameters(path))
    try:
        return model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"'{path}' does not fit {model_class.__name__}, which it names as its model: {error}. "
            "Load it with the version of the project that wrote it."
        ) from error


def _hyper_parameters(path: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"'{path}' cannot be read as a checkpoint ({reason}); {_EXPECTED}") from error
    found = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    return found if isinstance(found, dict) else {}


def _class_of(path: Path, hyper_parameters: dict[str, Any]) -> type[Recommender]:
    # Only classes that are imported already: a checkpoint must not choose what code is loaded.
    module, _, name = str(hyper_parameters.get("_class_path", "")).rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    if isinstance(found, type) and issubclass(found, Recommender):
        return found
    held = f"of '{module}.{name}'" if name else "that names no model"
    raise ValueError(f"'{path}' is a checkpoint {held}, not of a recommender that is imported here; {_EXPECTED}")
