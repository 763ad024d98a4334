"""The project's commands, run from benchmarks in one thread and without chatter."""

import logging
import warnings
from collections.abc import Sequence

import torch

from lightning_modules.cli.main import main


def settle() -> None:
    """Compute with one thread and hide what libraries say of themselves."""
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
