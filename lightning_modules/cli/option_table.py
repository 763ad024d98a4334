"""The options of all verbs as ``option_table.json`` holds them, known without building a parser.

The file is made of the parsers by ``python -m lightning_modules.cli.table_writer``, and a test holds it to them.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lightning_modules.cli.help_page import HelpPage

PATH = Path(__file__).with_name("option_table.json")
#: What the parsers are built with; another version may have other options.
_PACKAGES = ("pytorch-lightning", "jsonargparse")
_POSITIONAL = ("run",)
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class NamedClass:
    """A class of the project that an option takes by its name.

    Attributes:
        arguments: Its arguments, those that it hands on included.
        folders: The folders of it and its bases, from the project's.
    """

    arguments: Sequence[str]
    folders: Sequence[str]

    def may_have(self, argument: str) -> bool:
        """Return whether the class has an argument, or one of that name was written beside it since the table was."""
        files = (file for folder in self.folders for file in (_ROOT / folder).glob("*.py"))
        return argument in self.arguments or any(argument in _arguments_in(file) for file in files)


@dataclass(frozen=True)
class OptionTable:
    """The options of all verbs.

    Attributes:
        versions: Of the packages that the parsers are built with.
        pages: The help of every verb.
        settings: The file that defines the own options of a verb.
        classes: The project's classes by their names, by the option that takes them: ``model`` or ``data``.
    """

    versions: Mapping[str, str]
    pages: Mapping[str, HelpPage]
    settings: Mapping[str, str]
    classes: Mapping[str, Mapping[str, NamedClass]]

    def is_current(self, verb: str) -> bool:
        """Return whether the verb's options are still those of the table."""
        if self.versions != installed_versions():
            return False
        file = self.settings.get(verb)
        if file is None:
            return True
        own = self.pages[verb].options_of(verb)
        return all(f"--{name}" in own or name in _POSITIONAL for name in _arguments_in(_ROOT / file))


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that the parsers are built with."""
    return {package: version(package) for package in _PACKAGES}


def _arguments_in(file: Path) -> set[str]:
    """Return the arguments of all classes in a file: those of constructors, and the fields of dataclasses."""
    nodes = [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    classes = [node.body for node in nodes if isinstance(node, ast.ClassDef)]
    fields = [each.target for body in classes for each in body if isinstance(each, ast.AnnAssign)]
    constructors = [node.args for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    arguments = [each.arg for own in constructors for each in (*own.args, *own.kwonlyargs)]
    return {*arguments, *(each.id for each in fields if isinstance(each, ast.Name))}


@cache
def option_table() -> OptionTable:
    """Return the table in the file."""
    held = json.loads(PATH.read_text(encoding="utf-8"))
    return OptionTable(
        versions=held["versions"],
        pages={verb: HelpPage(**page) for verb, page in held["pages"].items()},
        settings=held["settings"],
        classes={
            option: {name: NamedClass(**each) for name, each in classes.items()}
            for option, classes in held["classes"].items()
        },
    )
