"""The options of an export."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExportSettings:
    """Options of an export.

    Args:
        run: A study's folder, RUN#RANK, RUN#front:OPERATORS or RUN#answer for one of its formulas, or, for onnx, the
            checkpoint of a trained model.
        rank: Which of the study's formulas to write, counted from 1, the best one.
        to: What to write: a Python module that needs only PyTorch (python), LaTeX (latex), the picture of the search
            with the formula's curve (picture), or the model (onnx).
        output: The file to write; by default loss_RANK.py, loss_RANK.tex or search.png in the study's folder, or the
            checkpoint's name with .onnx.
        overwrite: Replace the file if it is there.
    """

    run: str
    rank: int = 1
    to: Literal["python", "latex", "picture", "onnx"] = "python"
    output: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse a rank that there cannot be.

        Raises:
            ValueError: If the rank is below 1.
        """
        if self.rank < 1:
            raise ValueError(f"--rank is {self.rank}, but ranks count from 1, the best formula")
