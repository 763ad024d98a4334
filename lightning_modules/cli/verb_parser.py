"""The parser of a verb, whose help is a page of our own and whose errors are a line or two."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lightning_modules.cli.config_places import ConfigFile, last_place
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
        files: The configuration files that were read, in this order.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # An option of a later version could turn an abbreviation into another option.
        super().__init__(*arguments, **{"parser_mode": BOUNDED, "allow_abbrev": False, **options})
        self.verbs: Mapping[str, VerbParser] = {}
        self.owners: Mapping[str, type] = {}
        self.files: list[ConfigFile] = []
        self._open: ConfigFile | None = None

    def parse_path(self, path: Any, *arguments: Any, **options: Any) -> Any:
        """Return what a configuration file holds, which errors meanwhile name."""
        before, self._open = self._open, ConfigFile(str(path), Path(path).absolute())
        self.files.append(self._open)
        try:
            return super().parse_path(path, *arguments, **options)
        finally:
            self._open = before

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
        from lightning_modules.cli.parser_messages import missing_model, short_message

        named = next((self.verbs[each] for each in getattr(self, "args", ()) if each in self.verbs), self)
        parser = getattr(ex, "subcommand_parser", None) or named
        program = parser.prog.replace(" [options]", "")
        verb = program.split()[-1]
        message = message.replace(f" {verb}.", " ")
        text = short_message(message, parser.page().options_of(verb), parser.owners)
        text += missing_model(message, getattr(parser, "args", ()))
        self.exit(2, f"error: {self._place(parser, message)}{text}\nHelp: {program} --help\n")

    def _place(self, parser: "VerbParser", message: str) -> str:
        from lightning_modules.cli.parser_messages import key_of, unknown_key

        if self._open:
            return self._open.place(key_of(message))
        # What is no option is found when all files have been read.
        return last_place([*self.files, *parser.files], unknown_key(message))
