"""Compilation of kernels to machine code with numba, where it is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Reductions may be reordered and multiplications fused with additions; infinities and nan keep their meaning.
_FAST_MATH = {"reassoc", "contract", "arcp", "nsz"}


def is_available() -> bool:
    """Return whether numba is installed, so that kernels can be compiled."""
    return find_spec("numba") is not None


def compiled(kernel: Kernel) -> Kernel:
    """Return a function compiled to machine code on its first call, for the types of its arguments.

    The code is kept on disk for later processes, which compile it anew when the file of the function has changed. The
    function releases the interpreter's lock while it runs. Division by zero gives an infinity or nan, as in torch.

    Raises:
        ModuleNotFoundError: If numba is not installed.
    """
    from numba import njit  # takes a third of a second, and not every command trains

    return cast(Kernel, njit(kernel, cache=True, nogil=True, error_model="numpy", fastmath=_FAST_MATH))
