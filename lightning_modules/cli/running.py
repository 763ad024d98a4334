"""Runs a command line and turns whatever ends it into a message and an exit status."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from lightning_modules.cli.ending_signals import of_lightning, raised_signals, terminated
from lightning_modules.cli.error_messages import own_message
from lightning_modules.cli.verbs import PLAIN_VERBS

_FAILED, _INTERRUPTED, _TERMINATED = 1, 130, 143

_CHATTERING = ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed")
_CHATTER = ("💡 Tip:", "GPU available: False", "TPU available: False", "Seed set to")

#: Errors that users cause; any other is a defect and keeps its traceback.
_USER_ERRORS = (ValueError, OSError, RuntimeError, MemoryError, ImportError)


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run a command line and return its exit status.

    Args:
        arguments: The verb and its options.
        debug: Whether errors are to be raised.
    """
    with raised_signals(), quiet_libraries():
        try:
            _run_verb(arguments, debug=debug)
        except (*_USER_ERRORS, of_lightning("lightning_fabric", "MisconfigurationException", ValueError)) as error:
            if debug:
                raise
            return _say(f"error: {own_message(error)}", _FAILED)
        except KeyboardInterrupt:
            return _say("interrupted", _INTERRUPTED)
        except terminated():
            return _say("terminated", _TERMINATED)
        except SystemExit as end:
            # Lightning turns Ctrl-C into a plain exit with status 1.
            if isinstance(end.__context__, KeyboardInterrupt):
                return _say("interrupted", _INTERRUPTED)
            return end.code if isinstance(end.code, int) else _FAILED if end.code else 0
    return 0


def _run_verb(arguments: Sequence[str], *, debug: bool) -> None:
    command = _command_line(arguments[0])
    with nullcontext() if debug else plain_warnings():
        command(arguments)


def _command_line(verb: str) -> Callable[[Sequence[str]], object]:
    # Lightning takes seconds to import.
    if verb in PLAIN_VERBS:
        from lightning_modules.cli.plain_verbs import PlainCommandLine

        return PlainCommandLine
    from lightning_modules.cli.lossmith_cli import CLI

    return CLI


def _say(message: str, status: int) -> int:
    rank = int(os.environ.get("LOCAL_RANK", 0))
    sys.stderr.write(f"{f'process {rank}: ' if rank else ''}{message}\n")
    return status


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings for users as errors are printed, without the place in the code; Lightning's import undoes this."""
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *place: Any, **line: Any) -> str:
        if issubclass(category, UserWarning):
            return f"warning: {message}\n"
        return usual(message, category, *place, **line)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide messages of libraries that no user can act on: tips, absent hardware, warnings of later versions."""
    loggers = [logging.getLogger(name) for name in _CHATTERING]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        for logger in loggers:
            logger.addFilter(_says_something)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(_says_something)


def _says_something(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CHATTER)
