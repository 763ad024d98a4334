"""Makes ``option_table.json`` of the parsers: ``python -m lightning_modules.cli.table_writer``."""

import inspect
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from lightning_modules.cli.lossmith_cli import CLI
from lightning_modules.cli.option_table import PATH, NamedClass, OptionTable, installed_versions
from lightning_modules.cli.parser_messages import arguments_of
from lightning_modules.cli.registry import SECTIONS, named
from lightning_modules.cli.subcommands import OWN_VERBS
from lightning_modules.cli.verb_parser import VerbParser
from lightning_modules.cli.verbs import VERBS

_ROOT = Path(__file__).parents[2]


def table_of_parsers() -> OptionTable:
    """Return the table that says what the parsers do."""
    return OptionTable(
        versions=installed_versions(),
        pages={verb: parser_of(verb).verbs[verb].page() for verb in VERBS},
        settings={verb: _file(own.settings) for verb, own in OWN_VERBS.items()},
        classes={
            option: {name: NamedClass(arguments_of(cls), _folders(cls)) for name, cls in named(base).items()}
            for option, base in SECTIONS.items()
        },
    )


def as_text(table: OptionTable) -> str:
    """Return the table as the file holds it."""
    return json.dumps(asdict(table), indent=1) + "\n"


def parser_of(verb: str) -> VerbParser:
    """Return the parser of the verbs, which has that of this one."""
    with suppress(_BuiltError):
        _Builder([verb])
    return _Builder.built


class _BuiltError(Exception):
    """Ends a command line once its parsers are built."""


class _Builder(CLI):
    built: VerbParser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ARG002
        assert isinstance(parser, VerbParser)
        _Builder.built = parser
        raise _BuiltError


def _folders(cls: type) -> list[str]:
    own = [each for each in cls.__mro__ if each.__module__.startswith(("lightning_modules.", "datamodules."))]
    return [*dict.fromkeys(Path(_file(each)).parent.as_posix() for each in own)]


def _file(cls: type) -> str:
    return Path(inspect.getfile(cls)).relative_to(_ROOT).as_posix()


if __name__ == "__main__":
    PATH.write_text(as_text(table_of_parsers()), encoding="utf-8")
