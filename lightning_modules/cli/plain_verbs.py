"""The verbs that train nothing, which do without Lightning."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from jsonargparse import ArgumentError

from lightning_modules.check.settings import CheckSettings
from lightning_modules.check.sources import LossSources
from lightning_modules.cli.option_values import OfText, read_from
from lightning_modules.cli.refusals import refuse_impossible, refuse_other_bytes
from lightning_modules.cli.shorthand import Shorthand, spell_out
from lightning_modules.cli.subcommand_base import CommandLineValues, PlainVerb
from lightning_modules.cli.verb_parser import VerbParser
from lightning_modules.cli.verbs import EPILOG, PROGRAM, VERBS
from lightning_modules.export.settings import ExportSettings
from lightning_modules.losses import BCE
from lightning_modules.report.settings import ReportSettings
from lightning_modules.utilities.files import full_disk_explained

#: As everywhere else.
_SEED = 42


class CheckVerb(PlainVerb):
    """``check``."""

    usage = "[RUN] [--formulas TEXT ...] [--losses NAME ...] [--file FILE] [--OPTION VALUE ...]"
    settings = CheckSettings
    run_help = "Folder of a search whose formulas are checked."
    run_count = "?"

    def of_text(self, arguments: Sequence[str]) -> OfText:
        """Return what makes losses of texts as ``--formulas`` does, under ``--numerics`` or those of the search."""
        return read_from(lambda: _sources_of_check(arguments))

    def run(self, cli: CommandLineValues) -> None:
        """Check."""
        from lightning_modules.check.command import run_check

        run_check(self.chosen(cli), cli.seed)


class ReportVerb(PlainVerb):
    """``report``."""

    usage = "RUN [--output FILE]"
    settings = ReportSettings
    run_help = "Folder of a search, a comparison or a polish."

    def run(self, cli: CommandLineValues) -> None:
        """Report."""
        from lightning_modules.report.command import run_report

        run_report(self.chosen(cli))


class ExportVerb(PlainVerb):
    """``export``."""

    usage = "RUN [--rank N] [--to python|latex|picture|onnx] [--output FILE]"
    settings = ExportSettings
    run_help = "Folder of a search; for onnx a checkpoint."

    def run(self, cli: CommandLineValues) -> None:
        """Export."""
        from lightning_modules.export.command import run_export

        run_export(self.chosen(cli))


PLAIN_VERBS: dict[str, PlainVerb] = {"check": CheckVerb(), "report": ReportVerb(), "export": ExportVerb()}


def plain_parser(name: str) -> VerbParser:
    """Return the parser of a verb that trains nothing."""
    verb = PLAIN_VERBS[name]
    prog = f"{PROGRAM} {name}"
    parser = VerbParser(prog=prog, usage=f"{prog} {verb.usage}", description=VERBS[name], epilog=EPILOG)
    parser.add_argument("-c", "--config", action="config")
    parser.add_argument("--seed_everything", type=bool | int, default=_SEED)
    verb.add_options(parser)
    parser.owners = {"": verb.settings}
    return parser


def _sources_of_check(arguments: Sequence[str]) -> LossSources:
    parser = plain_parser("check")
    parser.exit_on_error = False
    spelled = spell_out(arguments, Shorthand.of(CheckSettings, "", lambda _: BCE()))
    # What is wrong with other options is said when all of them are parsed.
    with suppress(ArgumentError):
        given = parser.instantiate_classes(parser.parse_args(spelled))
        return LossSources(given.run, given.numerics)
    return LossSources(None, None)


class PlainCommandLine:
    """The command line of a verb that trains nothing.

    Args:
        arguments: The verb and its options.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        name, rest = arguments[0], arguments[1:]
        refuse_other_bytes(rest)
        verb = PLAIN_VERBS[name]
        parser, given = plain_parser(name), verb.complete(rest)
        parser.exit_on_error = False
        try:
            config = parser.parse_args(given)
        except ArgumentError:
            # It may name a class of a package that is not imported; if not, the messages need them all.
            import lightning_modules.cli.registry  # noqa: F401

            parser = plain_parser(name)
            config = parser.parse_args(given)
        refuse_impossible(config.as_dict())
        self._values = parser.instantiate_classes(config)
        with full_disk_explained(f"what {name} writes", verb.when_full):
            verb.run(self)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        seed: int = self._values.seed_everything
        return torch.initial_seed() if isinstance(seed, bool) else seed

    def option(self, name: str) -> Any:
        """Return the value of one of the verb's options, built if it is an object."""
        return self._values[name]
