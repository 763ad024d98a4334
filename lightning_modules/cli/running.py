"""Runs a command line and turns whatever ends it into a message and an exit status."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
            _run_verb(arguments)
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


def _run_verb(arguments: Sequence[str]) -> None:
    # Lightning takes seconds to import.
    if arguments[0] in PLAIN_VERBS:
        from lightning_modules.cli.plain_verbs import PlainCommandLine

        PlainCommandLine(arguments)
    else:
        from lightning_modules.cli.lossmith_cli import CLI

        CLI(arguments)


def _say(message: str, status: int) -> int:
    rank = int(os.environ.get("LOCAL_RANK", 0))
    sys.stderr.write(f"{f'process {rank}: ' if rank else ''}{message}\n")
    return status


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
