"""What the parser says of a command line or configuration file, in a line that names the option."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from types import NoneType
from typing import Any

from jsonargparse import ArgumentParser

from lightning_modules.cli.registry import SECTIONS, named
from lightning_modules.cli.suggestions import (
    class_of_another_kind,
    unknown_argument,
    unknown_class,
    unknown_option,
    without_class,
)
from lightning_modules.cli.type_hints import argument_hints, bases_in
from lightning_modules.cli.verbs import values_of
from lightning_modules.utilities.messages import shortened, without_middle
from lightning_modules.utilities.serialization import imported_class

_LONGEST, _LONGEST_SHOWN = 300, 60
_KEY, _CLASS = re.compile(r'Parser key "([\w.]+)":?'), re.compile(r"class_path[ =]'([\w.]+)'")
_UNKNOWN_OPTION = re.compile(r"unrecognized arguments: ([^\s=]*)|does not accept option '([^']+)'")
_UNKNOWN_ARGUMENT = re.compile(r"Option '([^']+)' is not accepted|but ([\w.]+) is abstract")
_UNKNOWN_CLASS = re.compile(r"Expected a dot import path string: (\S+)|module '[\w.]+' has no attribute '(\w+)'")
_ANOTHER_KIND = re.compile(r"Import path (?:\w+\.)*(\w+) does not correspond to a subclass of")
_BEFORE_VERB = re.compile(r"is not accepted before subcommand '(\w+)'")
_NO_YAML, _NO_SETTINGS = "Problems parsing config: ", "Unexpected config: "
_MARK = re.compile(r'\s*in "<unicode string>", (line \d+, column \d+):?\s*')
_EXPECTED, _LITERAL = re.compile(r"Expected (an? (?:\w+))"), re.compile(r"needs a Literal\[([^\]]*)\]")
_GOT = re.compile(r"[.;] (?:Got|Given) value: ")
_TYPES = {"a int": "a whole number", "a float": "a number", "a bool": "true or false", "a str": "text"}
_MISSING = "the following arguments are required: "
#: Lines that only lead to the next one, or repeat the option and its value.
_NOISE = (
    *(
        'Parser key "',
        "Problem with given ",
        "Does not validate ",
        "Subtypes: ",
        "Errors:",
        "Given value type",
        "Given value: N",
        "Type ",
    ),
    *("Expected a path but ", "Expected a <class 'NoneType'>", "Subclass types expect", "a class path ", "a dict "),
)


def short_message(message: str, options: Collection[str], owners: Mapping[str, type]) -> str:
    """Return what the parser says: what is unknown with a suggestion, of all else its last words.

    Args:
        message: The parser's message.
        options: The options of the verb.
        owners: The classes whose arguments are options of the verb, by the prefix of these.
    """
    if text := _unreadable(message):
        return text
    keys, classes = _KEY.findall(message), [imported_class(path, object) for path in _CLASS.findall(message)]
    bases, option = _bases(keys, classes, owners), ".".join(dict.fromkeys(keys))
    if match := _UNKNOWN_OPTION.search(message):
        return unknown_option(match[1] or f"--{match[2]}", options, arguments_of_named())
    if match := _UNKNOWN_ARGUMENT.search(message):
        cls = next(filter(None, reversed(classes)), None)
        return _unknown_argument(match[1], option, cls, bases)
    if match := _UNKNOWN_CLASS.search(message):
        return _unknown_class(match[1] or match[2], option, bases)
    if match := _ANOTHER_KIND.search(message):
        return _another_kind(match[1], option, bases)
    return _passed_on(message, option, options)


def key_of(message: str) -> str:
    """Return the dotted key that a parser's message is about; nothing if it names none."""
    keys = dict.fromkeys(_KEY.findall(message))
    argument = _UNKNOWN_ARGUMENT.search(message)
    return ".".join([*keys, *([argument[1]] if argument and argument[1] else [])]) or unknown_key(message)


def unknown_key(message: str) -> str:
    """Return the key of a file that the parser's message calls no option; nothing if it is another message."""
    match = _UNKNOWN_OPTION.search(message)
    return (match[2] or "") if match else ""


def missing_model(message: str, arguments: Sequence[str]) -> str:
    """Return why a newest checkpoint needs a model, if the parser misses one; nothing otherwise."""
    is_last = [*values_of(arguments, "--ckpt_path")][-1:] == ["last"]
    if not is_last or message != f"{_MISSING}model":
        return ""
    return (
        ", since --ckpt_path last is the newest run that had the same model and data. Name both with --model and "
        "--data, or the file of a checkpoint, which holds both"
    )


def _unreadable(message: str) -> str:
    """Return what is said of a file that holds no settings, or of settings in front of the verb."""
    if match := _BEFORE_VERB.search(message):
        return (
            f"--config before the verb names a file with a section for each verb; write {match[1]} first, then --config"
        )
    if message.startswith(_NO_YAML):
        reason = _MARK.sub(r" in \1; ", message.removeprefix(_NO_YAML)).rstrip("; ")
        return without_middle(f"it cannot be read as settings: {reason}. Correct it there", _LONGEST)
    if message.startswith(_NO_SETTINGS):
        held = shortened(" ".join(message.removeprefix(_NO_SETTINGS).split()), _LONGEST_SHOWN)
        return f"it holds no settings, but '{held}'. Write names with values, such as model: BiasedMF"
    return ""


def arguments_of_named() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the arguments of the project's models and data by the option that names them, and by their names."""
    return {
        section: {name: arguments_of(cls) for name, cls in named(base).items()} for section, base in SECTIONS.items()
    }


@cache
def arguments_of(cls: type) -> tuple[str, ...]:
    """Return the names of a class's arguments, those that it hands on included."""
    arguments: list[str] = ArgumentParser().add_class_arguments(cls, "object", fail_untyped=False)
    return tuple(each.removeprefix("object.") for each in arguments)


def _unknown_argument(name: str, option: str, cls: type | None, bases: Sequence[type]) -> str:
    # Without a class, the parser takes the arguments for those of the base, or says that this is abstract.
    if not name or (cls in bases and cls and cls not in named(cls).values() and cls.__subclasses__()):
        return without_class(option, [*_named(bases)])
    if cls is None:
        return f"--{option} has no argument '{name}'"
    return unknown_argument(name, cls.__name__, arguments_of(cls))


def _unknown_class(name: str, option: str, bases: Sequence[type]) -> str:
    if name in named(object):
        return _another_kind(name, option, bases)
    others = [cls.__name__ for base in bases for cls in (base, *_subclasses(base))]
    return unknown_class(name, option, [*_named(bases)], others)


def _another_kind(name: str, option: str, bases: Sequence[type]) -> str:
    kinds = [base.__name__ for base in bases if base is not NoneType]
    return class_of_another_kind(name, option, kinds, [*_named(bases)])


def _in_words(text: str) -> str:
    """Return what the parser says of a value of the wrong type, with types in words."""
    named = _EXPECTED.sub(lambda match: f"needs {_TYPES.get(match[1], match[1])}", text)
    listed = _LITERAL.sub(lambda match: f"needs one of {match[1].replace(chr(39), '')}", named)
    return _GOT.sub(", and is ", listed.replace("; needs ", " or ")) if "needs " in listed else text


def _passed_on(message: str, option: str, options: Collection[str]) -> str:
    lines = (_KEY.sub("", line).strip(" -").partition(". Got value: Namespace")[0] for line in message.splitlines())
    text = "; ".join(dict.fromkeys(line for line in lines if line and not line.startswith(_NOISE))) or message
    plain = _in_words(re.sub(r"<class '(?:\w+\.)*(\w+)'>|typing\.", lambda match: match[1] or "", text))
    if option and plain.startswith(_MISSING):
        return f"{_MISSING}--{option}.{plain.removeprefix(_MISSING)}"
    if plain.startswith(_MISSING):
        names = plain.removeprefix(_MISSING).split(", ")
        return _MISSING + ", ".join(f"--{name}" if f"--{name}" in options else name for name in names)
    return without_middle(f"--{option}: {plain}" if option else plain, _LONGEST)


def _bases(keys: Sequence[str], classes: Sequence[type | None], owners: Mapping[str, type]) -> list[type]:
    """Return what classes an option takes, found along the classes that lead to it."""
    prefix, _, name = keys[0].rpartition(".") if keys else ("", "", "")
    hint = SECTIONS.get(name) or argument_hints(owners.get(prefix, object)).get(name, Any)
    for cls, key in zip(classes, keys[1:], strict=False):
        hint = argument_hints(cls).get(key, Any) if cls else Any
    return [base for base in bases_in(hint) if base.__module__ != "builtins"]


def _named(bases: Sequence[type]) -> Iterator[str]:
    for base in bases:
        yield from named(base)


def _subclasses(cls: type) -> Iterator[type]:
    subclass: type
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
