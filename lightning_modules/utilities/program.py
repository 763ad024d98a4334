"""The program that runs, and commands for its user to give next."""

import os
import shlex
import sys
from itertools import count
from pathlib import Path

#: The programs that have the verbs: that of a checkout, and the console command of an installation.
IN_CHECKOUT, INSTALLED = "train.py", "lossmith"


def command(verb: str, *arguments: object) -> str:
    """Return a command line of the program that runs, with its arguments quoted for a shell.

    A program that is neither of the two, such as a notebook, is told of that which there is.

    Args:
        verb: The verb.
        arguments: What follows it.
    """
    return f"{_invocation()} {shlex.join([verb, *map(str, arguments)])}"


def tensorboard_command(folder: Path) -> str:
    """Return the command that shows a folder in TensorBoard."""
    return f"tensorboard --logdir {shlex.quote(str(folder))}"


def free_folder(name: str) -> str:
    """Return the name of a folder that is not there, after which a number is put if that of this name is."""
    names = (name if number == 1 else f"{name}_{number}" for number in count(1))
    return next(each for each in names if not Path(each).exists())


def _invocation() -> str:
    called = sys.argv[0] if sys.argv else ""
    if os.path.basename(called) == IN_CHECKOUT:
        return f"python {shlex.quote(called)}"
    if os.path.basename(called).startswith(INSTALLED) or not os.path.isfile(IN_CHECKOUT):
        return INSTALLED
    return f"python {IN_CHECKOUT}"
