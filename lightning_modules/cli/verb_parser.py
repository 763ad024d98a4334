"""The parser of a verb, whose errors are a line or two."""

from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from lightning_modules.cli.error_messages import short_message
from lightning_modules.cli.help_formatter import HelpFormatter
from lightning_modules.utilities.untrusted_data import BOUNDED


class VerbParser(LightningArgumentParser):
    """A parser that ends with a line or two on what is wrong with a command line.

    Args:
        arguments: Positional arguments of the parser.
        options: Settings of the parser.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # An option of a later version could turn an abbreviation into another option.
        settings = {"formatter_class": HelpFormatter, "parser_mode": BOUNDED, "allow_abbrev": False}
        super().__init__(*arguments, **{**settings, **options})

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """End with status 2, unless the error is to be raised."""
        if not self.exit_on_error:
            super().error(message, ex)
        verbs = self._subcommands_action.choices if self._subcommands_action else {}
        named = next((verbs[argument] for argument in getattr(self, "args", ()) if argument in verbs), self)
        parser = getattr(ex, "subcommand_parser", None) or named
        program = parser.prog.replace(" [options]", "")
        self.exit(2, f"error: {short_message(message, parser)}\nHelp: {program} --help\n")
