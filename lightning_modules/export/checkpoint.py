"""Reads a trained model from its checkpoint."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_modules import agents, multitask, recommenders  # noqa: F401 (their models are found by name)
from lightning_modules.core.inference import Exportable
from lightning_modules.utilities.serialization import imported_class, load_checkpoint, reason_of

_EXPECTED = "give the checkpoint of a model of this project, such as those that fit writes"
#: Errors of Lightning and its parser for hyper-parameters or weights that do not fit the model.
_MISFITS = (ArgumentError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def load_model(path: Path) -> Exportable:
    """Return the model of a checkpoint on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or not that of an imported class that can be exported.
    """
    model_class = _class_of(path, _hyper_parameters(path))
    try:
        model = model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except _MISFITS as error:
        raise ValueError(
            f"'{path}' does not fit {model_class.__name__}, which it names as its model: {reason_of(error)}. "
            "Load it with the version of the project that wrote it."
        ) from error
    assert isinstance(model, Exportable)
    return model


def _hyper_parameters(path: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(path, _EXPECTED)
    found = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    return found if isinstance(found, dict) else {}


def _class_of(path: Path, hyper_parameters: dict[str, Any]) -> type[pl.LightningModule]:
    class_path = str(hyper_parameters.get("_class_path", ""))
    found = imported_class(class_path, pl.LightningModule)
    if found is not None and issubclass(found, Exportable):
        return found
    if not class_path:
        raise ValueError(f"'{path}' is a checkpoint that names no model; {_EXPECTED}")
    if found is not None:
        raise ValueError(
            f"'{path}' is a checkpoint of '{class_path}', which does not say what it computes outside a Trainer; "
            f"export it with torch.onnx in a program of your own, or {_EXPECTED}"
        )
    raise ValueError(
        f"'{path}' is a checkpoint of '{class_path}', which is no model of this project, and a checkpoint may not "
        f"choose what is imported; {_EXPECTED}, or, if the class is your own, import it in a program that calls "
        "lightning_modules.export.run_export(ExportSettings(FILE, to='onnx'))"
    )
