"""The console command ``lossmith``: the verbs of ``train.py``."""

import os
import sys
from collections.abc import Sequence

from lossmith.packages import refuse_hidden


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status, which is 1 where another project's package hides one of these.

    Args:
        arguments: The verb and its options; those of the process if not given.
    """
    try:
        refuse_hidden()
    except ImportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    # Modules of the folder that the command is given in are found, as with python train.py, but hide none.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    # It is not imported where a package is hidden.
    from lightning_modules.cli.main import main as run

    return run(arguments)
