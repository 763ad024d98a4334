"""Protection that keeps a formula finite: eps inside log, reciprocal and sqrt, and a clamp after every operator."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Numerics:
    """Protection of every operator node of a formula.

    Attributes:
        eps: Added to absolute values inside log, reciprocal and sqrt.
        low: Lower bound of every operator's value.
        high: Upper bound of every operator's value.
    """

    eps: float = 1e-6
    low: float = -1e5
    high: float = 1e5

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If ``eps`` is not at least 0 or ``low`` is not below ``high``.
        """
        if not (self.eps >= 0 and self.low < self.high):
            raise ValueError(
                f"numerics need eps >= 0 and low < high, got eps={self.eps}, low={self.low}, high={self.high}"
            )

    def clamp(self, value: Tensor) -> Tensor:
        """Clamp a value, to the range of its type if that is narrower; the gradient of clamped elements is zero."""
        largest = torch.finfo(value.dtype).max
        # As clamp, but for the gradient at a bound itself; forwards and backwards it takes a third of the time.
        return F.hardtanh(value, max(self.low, -largest), min(self.high, largest))

    @classmethod
    def named(cls, name: str) -> "Numerics":
        """Return a preset.

        Raises:
            ValueError: If there is no preset of that name.
        """
        if name not in PRESETS:
            raise ValueError(
                f"numerics '{name}' is unknown; choose one of {', '.join(PRESETS)}, or give eps, low and high"
            )
        return PRESETS[name]


#: ``protected`` is symmetric and therefore keeps negative values; ``autolossgen`` is the clamp of the published code
#: of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).
PRESETS: dict[str, Numerics] = {
    "protected": Numerics(),
    "autolossgen": Numerics(low=1e-5, high=1e5),
}
