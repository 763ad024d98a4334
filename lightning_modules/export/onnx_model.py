"""Exports a trained recommender from its checkpoint to ONNX, and checks the file in ONNX Runtime."""

import importlib.util
import warnings
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lightning_modules.recommenders import Recommender
from lightning_modules.training.quiet import errors_only
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.progress import working
from lightning_modules.utilities.serialization import imported_class, load_checkpoint, reason_of, refuse_non_finite

_EXPECTED = "give the checkpoint of a recommender of this project, such as those that fit writes"

#: Errors of Lightning and its parser for hyper-parameters or weights that do not fit the model.
_MISFITS = (ArgumentError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def load_recommender(path: Path) -> Recommender:
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


def _class_of(path: Path, hyper_parameters: dict[str, Any]) -> type[Recommender]:
    class_path = str(hyper_parameters.get("_class_path", ""))
    found = imported_class(class_path, cast(Any, Recommender))
    if found is not None:
        return found
    held = f"of '{class_path}'" if class_path else "that names no model"
    raise ValueError(f"'{path}' is a checkpoint {held}, not of a recommender that is imported here; {_EXPECTED}")


_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# A file of this format is one message of Protocol Buffers, which ends at 2 GiB.
_LARGEST_BYTES = 2**31 - 2**20
_OUTPUTS = ("probability", "logit")
_CHECKED_ROWS = (1, 2, 257)
_TOLERANCE = 1e-5


class Predicted(nn.Module):
    """Probability of label 1 and its logit: ``user``, ``item`` int64 [n] -> two tensors float [n]."""

    def __init__(self, recommender: Recommender) -> None:
        super().__init__()
        self.recommender = recommender

    def forward(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability and the logit of every row."""
        logit = self.recommender(user, item)
        return torch.sigmoid(logit), logit


def write_onnx(checkpoint: Path, output: Path) -> None:
    """Write the recommender of a checkpoint as an ONNX file, after ONNX Runtime computed the same values with it.

    Inputs are ``user`` and ``item``, int64 [n], outputs ``probability`` and ``logit``, float [n]; n is dynamic. Rank by
    the logit: probabilities round to 1 above a logit of 16.6. Indices are those of training, ``user`` in
    [0, num_users) and ``item`` in [0, num_items), where 0 stands for unknown ids if the data module maps them. Callers
    check the indices: beyond the tables ONNX Runtime fails on the CPU and is undefined elsewhere, and negative indices
    count from the end.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        RuntimeError: If ONNX Runtime computes other values; the file is not written then.
        ValueError: If the checkpoint is not that of a recommender, a weight is not finite, the model exceeds the size
            of an ONNX file, or a package is missing.
    """
    _require_packages()
    with _quiet():
        recommender = load_recommender(checkpoint)
    refuse_non_finite(recommender, f"'{checkpoint}' cannot be exported")
    _require_size(recommender)
    model = Predicted(recommender).eval()

    def write(unfinished: Path) -> None:
        with _quiet():
            _export(model, unfinished)
        _check(model, unfinished)

    with working("writing the model and checking it in ONNX Runtime"):
        replace_file(output, write)


def _require_packages() -> None:
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise ValueError(f"export to ONNX needs {', '.join(missing)}: pip install {' '.join(missing)}")


def _require_size(model: nn.Module) -> None:
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > _LARGEST_BYTES:
        raise ValueError(
            f"the model holds {size / 2**30:.1f} GiB of weights and an ONNX file at most 2; "
            "train one with fewer or smaller embeddings"
        )


def _export(model: Predicted, path: Path) -> None:
    # Two tensors, since the exporter merges a tensor that is passed twice into one input.
    user, item = torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    rows = {0: torch.export.Dim("rows")}
    torch.onnx.export(
        model,
        (user, item),
        path,
        dynamo=True,
        external_data=False,
        input_names=["user", "item"],
        output_names=list(_OUTPUTS),
        dynamic_shapes={"user": rows, "item": rows},
        verbose=False,
    )


def _check(model: Predicted, path: Path) -> None:
    import onnxruntime  # an optional package

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows in _CHECKED_ROWS:
        user, item = _indices(model.recommender, rows)
        with torch.inference_mode():
            right = [each.numpy() for each in model(user, item)]
        found = session.run(_OUTPUTS, {"user": user.numpy(), "item": item.numpy()})
        if not all(map(_agree, found, right)):
            raise RuntimeError(
                f"ONNX Runtime {onnxruntime.__version__} does not find the model's probabilities for {rows} rows, "
                "so the file was not written; try another version of onnxruntime and onnxscript"
            )


def _agree(found: np.ndarray, right: np.ndarray) -> bool:
    return found.shape == right.shape and np.allclose(found, right, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)


def _indices(recommender: Recommender, rows: int) -> tuple[Tensor, Tensor]:
    """Return pairs spread evenly over both tables, including their first and last rows."""
    sizes = recommender.hparams["num_users"], recommender.hparams["num_items"]
    user, item = (torch.linspace(0, size - 1, rows).round().long() for size in sizes)
    return user, item.flip(0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence deprecation and package warnings of the exporter's libraries, which users cannot act on."""
    with warnings.catch_warnings(), errors_only("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")
        yield
