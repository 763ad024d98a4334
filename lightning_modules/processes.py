"""What the processes of one training share."""

from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, distributed


def is_first() -> bool:
    """Return whether this is the first process, which alone writes; known before the processes are connected."""
    return getattr(rank_zero_only, "rank", 0) == 0


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean over all processes, which must all call this; the values themselves where there is one.

    Args:
        values: Detached values, of the same shape everywhere.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
