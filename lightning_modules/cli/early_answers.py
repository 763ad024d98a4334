"""Answers that need no parser: help, options and arguments that do not exist, files that are not there.

They are taken from the table of options. Where it could be wrong, or a class may be one of the user's own, the parser
decides.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

import yaml

from lightning_modules.cli.option_table import OptionTable, option_table
from lightning_modules.cli.suggestions import missing_path, unknown_argument, unknown_option, without_class
from lightning_modules.cli.verbs import PLAIN_VERBS, PROGRAM, TRAINER_VERBS, VERBS, refuse, values_of
from lightning_modules.utilities.program import IN_CHECKOUT

#: Options that may name a model and data.
_SOURCES = ("--config", "-c", "--ckpt_path", "--study", "--compare.study")
#: What may follow the option of a class without being an argument of it.
_PARTS = ("", "class_path", "init_args", "dict_kwargs", "help")
#: Packages of the project that hold models and data.
_PROJECT = ("lightning_modules.", "datamodules.")
#: Options that name a study.
_STUDIES = ("--study", "--compare.study", "--random_study", "--compare.random_study")
#: Values of ``--ckpt_path`` that are no file.
_WORDS = ("last", "best", "hpc", "registry")
#: What is said of a folder that is not there.
_NO_STUDY = "'{}' holds no study: ledger.sqlite is not there"
_NO_FOLDER = {"report": "there is no folder '{}' to report; name that of a search, a comparison or a polish"}
_NOTHING = ("", "null", "~")
_LARGEST_FILE, _LONGEST_PATH = 100_000, 1_000


def early_answer(arguments: Sequence[str]) -> int | None:
    """Show the help of a verb, or say what is wrong with a command line, as far as that is certain.

    Returns:
        The exit status; ``None`` if the command line is to be parsed.
    """
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS or "--" in rest or not _is_text(rest) or not option_table().is_current(verb):
        return None
    table = option_table()
    if "--help" in rest or [*rest] == ["-h"]:
        is_of_verb = not any(".help" in each for each in rest)
        return _show(table.pages[verb].text().replace(IN_CHECKOUT, PROGRAM)) if is_of_verb else None
    options = table.pages[verb].options_of(verb)
    for name in _names(rest):
        if not _is_option(name, options):
            return refuse(unknown_option(name, options, _arguments(table)), verb)
    wrong = next(filter(None, (_wrong_argument(section, rest, table) for section in table.classes)), None)
    if wrong and "--model" in options:
        return refuse(wrong, verb)
    missing = next(_missing_paths(verb, rest, table), None)
    return refuse(missing, status=1) if missing and "--print_config" not in rest else None


def _is_text(arguments: Sequence[str]) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for each in arguments for letter in each)


def _show(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _names(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the options among arguments; what holds a space may be a value."""
    for argument in arguments:
        if argument.startswith("--") and not any(map(str.isspace, argument)):
            yield argument.partition("=")[0].removesuffix("+")


def _is_option(name: str, options: Mapping[str, bool]) -> bool:
    """Return whether a verb has an option, or one of which this may be an argument."""
    parts = name.split(".")
    return name in options or any(options.get(".".join(parts[:count])) for count in range(1, len(parts)))


def _arguments(table: OptionTable) -> dict[str, dict[str, Sequence[str]]]:
    return {
        section: {name: cls.arguments for name, cls in classes.items()} for section, classes in table.classes.items()
    }


def _wrong_argument(section: str, arguments: Sequence[str], table: OptionTable) -> str:
    """Return what is wrong with the arguments of a model or of data; nothing if that is not certain."""
    given = [name.split(".")[1:] for name in _names(arguments) if name.startswith(f"--{section}.")]
    own = [parts[1:] if parts[0] == "init_args" else parts for parts in given]
    if not own or any(not parts or parts[0] in _PARTS for parts in own):
        return ""
    found = _class_of(section, arguments, table)
    if found == "":
        return without_class(section, [*table.classes[section]])
    cls = table.classes[section].get(found or "")
    wrong = next((parts[0] for parts in own if cls and not cls.may_have(parts[0])), "")
    return unknown_argument(wrong, str(found), cls.arguments) if cls and wrong else ""


def _class_of(section: str, arguments: Sequence[str], table: OptionTable) -> str | None:
    """Return the name of the project's class that is meant; empty if none is named, ``None`` if that is not certain."""
    named, sources = [*values_of(arguments, f"--{section}")], [*values_of(arguments, *_SOURCES)]
    configs = [*values_of(arguments, "--config", "-c")]
    if not named and not sources:
        return ""
    if not named and len(configs) == 1 and configs == sources:
        named = [_class_path(section, configs[0])]
    if len(named) != 1 or os.path.lexists(named[0]):
        return None
    name = named[0].rpartition(".")[2] if named[0].startswith(_PROJECT) else named[0]
    return name if name in table.classes[section] else None


def _class_path(section: str, config: str) -> str:
    """Return the class that a small file of settings names for a section; nothing if that is not certain."""
    try:
        with open(config, encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE) if os.path.isfile(config) else ""
        path = yaml.safe_load(text)[section]["class_path"] if len(text) < _LARGEST_FILE else ""
    except (OSError, ValueError, LookupError, TypeError, RecursionError, yaml.YAMLError):
        return ""
    return path if isinstance(path, str) else ""


def _missing_paths(verb: str, arguments: Sequence[str], table: OptionTable) -> Iterator[str]:
    """Yield what is to be said of files and folders that are not there."""
    is_run = verb in PLAIN_VERBS and "onnx" not in " ".join(arguments)
    runs = [_folder_of(each) for each in (arguments[:1] if is_run else [])]
    studies = [*runs, *(_studies(arguments) if verb == "compare" else [])]
    yield from (_NO_FOLDER.get(verb, _NO_STUDY).format(study) for study in studies if _is_missing(study))
    data = table.classes["data"].get(_class_of("data", arguments, table) or "")
    names = ["--ckpt_path"] if verb in TRAINER_VERBS else ["--file"] if verb == "check" else []
    # Data that can be downloaded make their folder.
    if data is not None and "root" in data.arguments and "download" not in data.arguments:
        names.append("--data.root")
    for name in names:
        path = next(reversed([*values_of(arguments, name)]), "")
        if _is_missing(path):
            yield missing_path(name, path)


def _studies(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the folders of the studies that a comparison names, as far as that is certain."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        values = takewhile(lambda each: not each.startswith("--"), arguments[place + 1 :])
        for study in ([value] if equals else values) if name in _STUDIES else []:
            if not study.startswith("["):
                yield _folder_of(study)


def _folder_of(study: str) -> str:
    """Return the folder of a study that may be named with a place in it, such as ``RUN#1``."""
    return study if os.path.isdir(study) else study.rpartition("#")[0] or study


def _is_missing(path: str) -> bool:
    is_other = path.lower() in _NOTHING or path.partition(":")[0] in _WORDS or path.startswith("-") or "://" in path
    return not is_other and len(path) < _LONGEST_PATH and not os.path.exists(path)
