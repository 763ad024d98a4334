"""Export: a formula as Python or LaTeX, a trained model as ONNX."""

from lightning_modules.export.command import run_export
from lightning_modules.export.latex import to_latex, write_latex
from lightning_modules.export.python import to_python, write_python
from lightning_modules.export.settings import ExportSettings

__all__ = ["ExportSettings", "run_export", "to_latex", "to_python", "write_latex", "write_python"]
