"""What the processes of one training share."""

from torch import Tensor, distributed


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
