"""The entry point of the command line."""

import sys
from collections.abc import Sequence

from lightning_modules.cli.early_answers import early_answer
from lightning_modules.cli.shipped_configs import with_shipped_configs
from lightning_modules.cli.verbs import answer
from lightning_modules.utilities.freed_memory import keep_freed_memory


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    It is 0 if all went well, 1 after an error, 2 if the command line or a configuration file cannot be understood, 130
    after Ctrl-C and 143 after SIGTERM. Errors are one message on stderr; ``--debug``, anywhere, shows the traceback.

    Args:
        args: The arguments; those of the process if not given.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    options = with_shipped_configs([argument for argument in arguments if argument != "--debug"])
    is_debugged = len(options) < len(arguments)
    status = answer(options)
    if status is None and not is_debugged:
        status = early_answer(options)
    if status is not None:
        return status
    try:
        # torch and Lightning take seconds to import.
        from lightning_modules.cli.running import run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    if args is None:
        # The process is the command's own.
        keep_freed_memory()
    return run(options, debug=is_debugged)
