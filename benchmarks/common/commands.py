"""Runs the project's commands in this process, in one thread and quietly."""

import logging
import warnings
from collections.abc import Sequence

import torch

from lightning_modules.cli.main import main
from lightning_modules.utilities.freed_memory import keep_freed_memory


def settle() -> None:
    """Compute with one thread, keep freed memory as commands do, and hide warnings and log messages of libraries."""
    keep_freed_memory()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def run_command(arguments: Sequence[str]) -> None:
    """Run a command line.

    Raises:
        RuntimeError: If it ends with an error.
    """
    if status := main(arguments):
        raise RuntimeError(f"{' '.join(arguments)} ended with status {status}")
