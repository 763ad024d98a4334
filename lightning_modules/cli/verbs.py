"""The verbs by name, and answers that need no more than these, so that torch is not imported."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence

from lightning_modules.cli.suggestions import did_you_mean
from lightning_modules.utilities.messages import without_middle
from lightning_modules.utilities.program import IN_CHECKOUT, INSTALLED

#: The name of the program in its help.
PROGRAM = INSTALLED if sys.argv and os.path.basename(sys.argv[0]).startswith(INSTALLED) else IN_CHECKOUT
EPILOG = "Ends with 0, after errors with 1 or 2, after Ctrl-C with 130; --debug adds the traceback of an error."
#: Verbs that are methods of Lightning's Trainer.
TRAINER_VERBS = {
    "fit": "Train a model.",
    "validate": "Measure a model on the validation rows.",
    "test": "Measure a model on the test rows.",
    "predict": "Write the probabilities of every test row, or every user's top items, to a CSV or Parquet file.",
}
#: Verbs that train nothing, and so do without Lightning.
PLAIN_VERBS = ("check", "report", "export")
#: All verbs with their descriptions.
VERBS = {
    **TRAINER_VERBS,
    "search": "Search for a loss function.",
    "check": "Check formulas without training: gradients, monotony, finiteness, scoring rule.",
    "compare": "Compare losses by training models to convergence, with several seeds, and audit a search.",
    "polish": "Fine-tune a multi-task model with weights that critics learn from sessions, and compare.",
    "report": "Write a search, a comparison or a polish as one HTML file to read and to send.",
    "export": "Export a found loss as Python or LaTeX, or a trained model as ONNX.",
}
_DESCRIPTION = "Trains recommenders and searches for the loss function to train them with."
_MISUSED = 2
_SETTINGS = (".yaml", ".yml", ".json")
_LONGEST_SHOWN, _LONGEST_MESSAGE = 100, 1_500


def answer(arguments: Sequence[str]) -> int | None:
    """Show the overview of the verbs, or refuse a command line without a known verb or with a file that is not there.

    Returns:
        The exit status; ``None`` if the command line is to be parsed.
    """
    verb = next((each for each in arguments if each in VERBS), "")
    configs = [*values_of(arguments, "--config", "-c")]
    for path in (each for each in configs if each.endswith(_SETTINGS)):
        if not os.path.exists(path):
            return refuse(f"--config: there is no file '{path[:_LONGEST_SHOWN]}'", verb)
        if os.path.isfile(path) and not os.path.getsize(path):
            return refuse(f"--config: the file '{path[:_LONGEST_SHOWN]}' is empty", verb)
    if not verb and {"-h", "--help"} & {*arguments}:
        _overview().print_help()
        return 0
    if verb or configs:
        return None
    name = next((each[:_LONGEST_SHOWN] for each in arguments if each and not each.startswith("-")), "")
    hint = did_you_mean(name, VERBS) or f"; choose among {', '.join(VERBS)}"
    return refuse(f"there is no verb{f' {name!r}' if name else ''}{hint}")


def values_of(arguments: Sequence[str], *options: str) -> Iterator[str]:
    """Yield what follows an option, every time that one of its spellings is there."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            yield from [value] if equals else arguments[place + 1 : place + 2]


def _overview() -> ArgumentParser:
    usage = f"{PROGRAM} VERB [--OPTION VALUE ...]"
    parser = ArgumentParser(PROGRAM, usage, _DESCRIPTION, EPILOG)
    hint = f"{PROGRAM} VERB --help lists its options"
    verbs = parser.add_subparsers(title="Verbs", description=hint, metavar="VERB")
    for verb, description in VERBS.items():
        verbs.add_parser(verb, help=description.rstrip("."))
    return parser


def refuse(message: str, verb: str = "", status: int = _MISUSED) -> int:
    """Say what is wrong, where to read on if the command line cannot be understood, and return the exit status."""
    help_text = f"Help: {f'{PROGRAM} {verb}'.rstrip()} --help\n" if status == _MISUSED else ""
    sys.stderr.write(f"error: {without_middle(message, _LONGEST_MESSAGE)}\n{help_text}")
    return status
