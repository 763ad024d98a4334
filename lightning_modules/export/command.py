"""Runs an export: a formula of a study, its picture, or a trained model, written to a file."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lightning_modules.core.inference import InferenceGraph
from lightning_modules.export.latex import write_latex
from lightning_modules.export.python import write_python
from lightning_modules.export.python_forms import FORMS
from lightning_modules.export.settings import ExportSettings
from lightning_modules.losses import FormulaBased
from lightning_modules.search.study import Study, referred
from lightning_modules.utilities.files import replaceable


def run_export(settings: ExportSettings) -> Path:
    """Write a study's formula, its picture or a trained model to a file, and return the file's path.

    Raises:
        FileExistsError: If the file exists and may not be replaced.
        FileNotFoundError: If there is no such study or checkpoint.
        RuntimeError: If what was written computes other values; no file is left then.
        ValueError: If the study has no such rank, the path is of the wrong kind, or a package is missing.
    """
    return _EXPORTS[settings.to](settings)


def _export_formula(
    settings: ExportSettings, *, suffix: str, write: Callable[[FormulaBased, Path], None], usage: str
) -> Path:
    study, rank = _formula_of(settings)
    loss = study.loss(rank)
    output = _free_output(settings, study.root / f"loss_{rank}{suffix}")
    write(loss, output)
    _say(f"{output.read_text(encoding='utf-8')}\nWrote the formula of rank {rank} to {output}.")
    _say(usage.format(module=output.stem, arguments=FORMS[loss.dialect.name].call))
    return output


def _export_picture(settings: ExportSettings) -> Path:
    from lightning_modules.search.reports.picture import PICTURE_NAME, write_picture

    study, rank = _formula_of(settings)
    output = _free_output(settings, study.root / PICTURE_NAME)
    write_picture(study, output, rank)
    _say(f"Drew the search, and its formula of rank {rank}, in {output}.")
    return output


def _formula_of(settings: ExportSettings) -> tuple[Study, int]:
    """Return the study that the options name, and the rank of its formula."""
    root = Path(settings.run)
    if root.is_file():
        raise ValueError(f"'{root}' is a file, but --to {settings.to} takes the folder of a study")
    found = None if root.is_dir() else referred(settings.run)
    if found and settings.rank != 1:
        raise ValueError(f"'{root}' names a formula, and --rank is {settings.rank}: leave out one of them")
    study, rank = found or (Study.read(root), settings.rank)
    if study.is_unfinished:
        _say(f"The search is not finished: {study.progress}. Its ranks may still change.")
    return study, rank


def _export_model(settings: ExportSettings) -> Path:
    from lightning_modules.export.onnx_model import write_onnx

    checkpoint = Path(settings.run)
    if checkpoint.is_dir():
        raise ValueError(f"'{checkpoint}' is a folder, but --to onnx takes a checkpoint file, such as best.ckpt")
    output = _free_output(settings, checkpoint.with_suffix(".onnx"))
    graph = write_onnx(checkpoint, output)
    _say(f"Wrote the model of {checkpoint} to {output}; ONNX Runtime finds the same {graph.values}.")
    outputs = ", ".join(f'"{name}"' for name in graph.outputs)
    feed = ", ".join(f'"{name}": {name}' for name in graph.inputs)
    arrays = _described_inputs(graph)
    _say(f'Use it: onnxruntime.InferenceSession("{output}").run([{outputs}], {{{feed}}}), {arrays}')
    for name, value in graph.metadata().items():
        _say(f"The {name}, in the order of the outputs' columns: {value}")
    return output


def _described_inputs(graph: InferenceGraph) -> str:
    """Return the inputs' types and shapes, such as ``int64 arrays user [rows], item [rows]``."""
    described: dict[str, list[str]] = {}
    for (name, free), example in zip(graph.inputs.items(), graph.examples(1), strict=True):
        shape = ", ".join([*free, *map(str, example.shape[len(free) :])])
        described.setdefault(str(example.dtype).removeprefix("torch."), []).append(f"{name} [{shape}]")
    return ", ".join(f"{kind} arrays {', '.join(names)}" for kind, names in described.items())


def _free_output(settings: ExportSettings, default: Path) -> Path:
    output = default if settings.output is None else Path(settings.output)
    if output.is_dir():
        raise ValueError(f"--output '{output}' is a folder; name a file in it, such as {output / default.name}")
    replaceable(output)
    if output.exists() and not settings.overwrite:
        raise FileExistsError(f"'{output}' is there already; replace it with --overwrite, or name another --output")
    output.parent.mkdir(parents=True, exist_ok=True)
    return output


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


_EXPORTS: dict[str, Callable[[ExportSettings], Path]] = {
    "python": partial(
        _export_formula,
        suffix=".py",
        write=write_python,
        usage="Use it beside that file: from {module} import loss; loss({arguments}).mean().backward()",
    ),
    "latex": partial(
        _export_formula,
        suffix=".tex",
        write=write_latex,
        usage="Use it: \\input{{{module}}}, with \\usepackage{{amsmath}}",
    ),
    "picture": _export_picture,
    "onnx": _export_model,
}
