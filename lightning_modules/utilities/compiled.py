"""Compilation of kernels to machine code with numba, where it is installed."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lightning_modules.utilities.signals import unlimited

if TYPE_CHECKING:
    from torch import Tensor

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Reductions may be reordered and multiplications fused with additions; infinities and nan keep their meaning.
_FAST_MATH = {"reassoc", "contract", "arcp", "nsz"}


def is_available() -> bool:
    """Return whether numba is installed, so that kernels can be compiled."""
    return find_spec("numba") is not None


def compiles_for(values: "Tensor") -> bool:
    """Return whether kernels can be compiled for the device and precision of a tensor of numbers."""
    import torch  # takes seconds, and commands that answer at once import this module

    is_known = values.is_cpu and values.dtype in (torch.float32, torch.float64)
    return is_known and not torch.compiler.is_compiling() and is_available()


def compiled(kernel: Kernel) -> Kernel:
    """Return a function compiled to machine code on its first call, for the types of its arguments.

    The code is kept on disk for later processes, which compile it anew when a file has changed in the function's folder
    or in that of a compiled function that its module imports. No signal interrupts the compilation, and no time limit
    counts it. The function releases the interpreter's lock while it runs. Division by zero gives an infinity or nan, as
    in torch.

    Raises:
        ModuleNotFoundError: If numba is not installed.
    """
    return _compiled(kernel)


def compiled_part(kernel: Kernel) -> Kernel:
    """Return a compiled function that only other compiled functions call; see :func:`compiled`.

    What turns Python's objects into its arguments is left out, which would take longer to compile than the function.
    Without it a call from Python ends the process.
    """
    return _compiled(kernel, no_cpython_wrapper=True)


def compiled_inline(kernel: Kernel) -> Kernel:
    """Return a function whose statements become those of the compiled function that calls it; see :func:`compiled`.

    A compiled function is optimized again with all that it calls, so that a large one is compiled once for each level
    of calls above it; this one adds no level.
    """
    return _compiled(kernel, inline="always")


# An exception half-way through the import would leave a numba that cannot be imported again.
@unlimited()
def _compiled(kernel: Kernel, **options: Any) -> Kernel:
    from numba import njit  # takes a third of a second, and not every command trains

    compiler = njit(kernel, nogil=True, error_model="numpy", fastmath=_FAST_MATH, **options)
    # Without compilation, NUMBA_DISABLE_JIT=1, it is the kernel itself.
    if compiler is not kernel:
        compiler._cache = _kernel_cache(kernel)
        # An exception half-way would leave a kernel that is never compiled.
        compiler.compile = unlimited()(compiler.compile)
    return cast(Kernel, compiler)


def _kernel_cache(kernel: Callable[..., Any]) -> Any:
    """Return numba's store of a kernel's machine code, with the sources that the kernel may call as part of the key.

    By itself numba compiles a kernel anew only when the kernel's own file has changed, not when that of a function
    that it calls has.
    """
    from numba.core.caching import FunctionCache

    class KernelCache(FunctionCache):
        def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
            key = super()._index_key(sig, codegen)  # type: ignore[no-untyped-call]
            return *key, *(_digest(folder) for folder in _folders_of(kernel))

    return KernelCache(kernel)  # type: ignore[no-untyped-call]


def _folders_of(kernel: Callable[..., Any]) -> list[Path]:
    """Return the folders of a kernel and of the compiled functions that its module knows."""
    known = (getattr(each, "py_func", None) for each in kernel.__globals__.values())
    return sorted({Path(each.__code__.co_filename).parent for each in (kernel, *known) if each is not None})


@lru_cache
def _digest(folder: Path) -> str:
    """Return a digest of the modules in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
