"""Exports a trained model from its checkpoint to ONNX, and checks the file in ONNX Runtime."""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lightning_modules.core.inference import InferenceGraph
from lightning_modules.export.checkpoint import load_model
from lightning_modules.training.quiet import errors_only
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.progress import working
from lightning_modules.utilities.serialization import refuse_non_finite

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# A file of this format is one message of Protocol Buffers, which ends at 2 GiB.
_LARGEST_BYTES = 2**31 - 2**20
_TRACED_ROWS = 2
_CHECKED_ROWS = (1, 2, 257)
_TOLERANCE = 1e-5


def write_onnx(checkpoint: Path, output: Path) -> InferenceGraph:
    """Write the model of a checkpoint as an ONNX file, after ONNX Runtime computed the same values with it.

    Inputs and outputs have the names of the model's inference graph, which is returned; the number of rows is dynamic.
    Those of scorers of pairs are ``user`` and ``item``, int64 [n], and ``probability`` and ``logit``, float [n]: rank
    by the logit, since probabilities round to 1 above a logit of 16.6. Top-N models score ``user``, int64 [n], or
    ``history``, int64 [n, m], with all items: ``score``, float [n, num_items]. Indices are those of training, in
    [0, num_users) and [0, num_items), where 0 stands for unknown ids if the data module maps them.

    Multi-task models and agents take ``categorical``, int64 [n, fields], and ``numerical``, float [n, features], as
    the data module gives them, and return ``probability`` and ``logit``, float [n, tasks]; the file's metadata
    ``tasks`` names the columns, as JSON.

    Callers check the indices: beyond the tables ONNX Runtime fails on the CPU and is undefined elsewhere, negative
    indices count from the end, and an index beyond its field is that of the next field.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        RuntimeError: If ONNX Runtime computes other values; the file is not written then.
        ValueError: If the checkpoint is not that of such a model, or does not hold all that it scores with, a weight
            is not finite, the model exceeds the size of an ONNX file, or a package is missing.
    """
    _require_packages()
    with _quiet():
        model = load_model(checkpoint)
    refuse_non_finite(model, f"'{checkpoint}' cannot be exported")
    graph = model.inference_graph().eval()
    _require_size(graph)

    def write(unfinished: Path) -> None:
        with _quiet():
            _export(graph, unfinished)
        _check(graph, unfinished)

    with working("writing the model and checking it in ONNX Runtime"):
        replace_file(output, write)
    return graph


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


def _export(graph: InferenceGraph, path: Path) -> None:
    # The exporter merges a tensor that is passed twice into one input, which inputs of their own memory are not.
    examples = tuple(each.clone() for each in graph.examples(_TRACED_ROWS))
    sizes = {name: torch.export.Dim(name) for names in graph.inputs.values() for name in names}
    program = torch.onnx.export(
        graph,
        examples,
        dynamo=True,
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        dynamic_shapes={
            name: {place: sizes[size] for place, size in enumerate(names)} for name, names in graph.inputs.items()
        },
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(graph.metadata())
    program.save(path, external_data=False)


def _check(graph: InferenceGraph, path: Path) -> None:
    import onnxruntime  # an optional package

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows in _CHECKED_ROWS:
        examples = graph.examples(rows)
        with torch.inference_mode():
            right = graph(*examples)
        feed = {name: each.numpy() for name, each in zip(graph.inputs, examples, strict=True)}
        found = session.run(graph.outputs, feed)
        if not all(map(_agree, found, (right,) if isinstance(right, Tensor) else right)):
            raise RuntimeError(
                f"ONNX Runtime {onnxruntime.__version__} does not find the model's {graph.values} for {rows} rows, "
                "so the file was not written; try another version of onnxruntime and onnxscript"
            )


def _agree(found: np.ndarray, right: Tensor) -> bool:
    expected = right.numpy()
    is_close = np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    return found.shape == expected.shape and is_close


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence deprecation and package warnings of the exporter's libraries, which users cannot act on."""
    with warnings.catch_warnings(), errors_only("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")
        yield
