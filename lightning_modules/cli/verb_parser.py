"""The parser of a verb, whose help is a page of our own and whose errors are a line or two."""

import json
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from lightning_modules.cli.help_page import HelpPage
from lightning_modules.utilities.untrusted_data import BOUNDED


class VerbParser(ArgumentParser):
    """A parser that ends with a line or two on what is wrong with a command line.

    What it says of options and classes needs all packages, which are imported only then.

    Args:
        arguments: Positional arguments of the parser.
        options: Settings of the parser.

    Attributes:
        verbs: The parsers of the verbs, by their names; empty in these.
        owners: The classes whose arguments are options of the verb, by the prefix of these.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # An option of a later version could turn an abbreviation into another option.
        super().__init__(*arguments, **{"parser_mode": BOUNDED, "allow_abbrev": False, **options})
        self.verbs: Mapping[str, VerbParser] = {}
        self.owners: Mapping[str, type] = {}

    def dump(self, namespace: Any, *arguments: Any, **options: Any) -> str:
        """Return a configuration as text; it is not checked again, which takes longer than parsing it."""
        text: str = super().dump(namespace, *arguments, **{**options, "skip_validation": True})
        return text

    def format_help(self, formatter: Any = None) -> str:  # noqa: ARG002
        """Return the page as it is printed."""
        return self.page().text()

    def page(self) -> HelpPage:
        """Return what ``--help`` shows."""
        from lightning_modules.cli.help_formatter import PageAsJson

        before, self.formatter_class = self.formatter_class, PageAsJson
        try:
            return HelpPage(**json.loads(super().format_help()))
        finally:
            self.formatter_class = before

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """End with status 2, unless the error is to be raised."""
        if not self.exit_on_error:
            super().error(message, ex)
        from lightning_modules.cli.parser_messages import short_message

        named = next((self.verbs[each] for each in getattr(self, "args", ()) if each in self.verbs), self)
        parser = getattr(ex, "subcommand_parser", None) or named
        program = parser.prog.replace(" [options]", "")
        verb = program.split()[-1]
        text = short_message(message.replace(f" {verb}.", " "), parser.page().options_of(verb), parser.owners)
        self.exit(2, f"error: {text}\nHelp: {program} --help\n")
