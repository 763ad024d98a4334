"""What is wrong with a command line or with what it names, in a few lines that name the option."""

import re
from collections.abc import Iterator
from typing import Any

from jsonargparse import ArgumentParser

from lightning_modules.cli.registry import SECTIONS, argument_hints, bases_in, named
from lightning_modules.cli.verbs import did_you_mean, question
from lightning_modules.utilities.serialization import imported_class

#: What torch says where it has no memory left, as a plain RuntimeError.
_ALLOCATOR = "can't allocate memory"
_LONGEST_LINE, _LONGEST_MESSAGE, _MOST_LINES, _LONGEST_PASSED = 1_000, 1_500, 8, 300
#: Arguments of the optimizer, which are often taken for those of the model.
_OF_OPTIMIZERS = {"lr": "lr", "learning_rate": "lr", "weight_decay": "weight_decay"}

_WRAPPED = re.compile(r"[\s-]*(Does not validate|Problem with given|Parser key)")
_KEY, _CLASS = re.compile(r'Parser key "([\w.]+)"'), re.compile(r"class_path[ =]'([\w.]+)'")
_UNKNOWN_OPTION = re.compile(r"unrecognized arguments: ([^\s=]*)|does not accept option '([^']+)'")
_MISSING = re.compile(r"the following arguments are required: (.+)")
_UNKNOWN_ARGUMENT = re.compile(r"Option '([^']+)' is not accepted")
_ABSTRACT = re.compile(r"but ([\w.]+) is abstract(?:.*?NestedArg\(key='([\w.]+)')?", re.DOTALL)
_UNKNOWN_CLASS = re.compile(r"Expected a dot import path string: (\S+)|module '[\w.]+' has no attribute '(\w+)'")
_CLUTTER = re.compile(
    r'Parser key "[\w.]+":?|Type .* expects a function or a callable class: |typing\.|\. Got value: Namespace.*'
)
#: Lines of the parser that only lead to the next one, or repeat the option and its value.
_NOISE = re.compile(
    r"^[\s-]*(Parser key \"[\w.]+\":$|Problem with given |Does not validate |Subtypes: |Errors:|Given value type|"
    r"Given value: N|Expected a path but |Expected a <class 'NoneType'>|Subclass types expect|a class path |a dict )"
)


def own_message(error: BaseException) -> str:
    """Return the message of an error, or of its cause where the error only says that something could not be built."""
    while error.__cause__ is not None and re.match(
        r"[\s-]*(Does not validate|Problem with given|Parser key)", str(error)
    ):
        error = error.__cause__
    text = str(error).strip() or type(error).__name__
    if isinstance(error, MemoryError) or _ALLOCATOR in text:
        text = f"there is not enough memory: {text}. Make sizes smaller, such as batches, embeddings or layers"
    lines = [_shortened(line, _LONGEST_LINE) for line in text.splitlines()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 2], "...", lines[-1]]
    return _shortened("\n".join(lines), _LONGEST_MESSAGE)


def _shortened(text: str, length: int) -> str:
    half = length // 2
    return text if len(text) <= length else f"{text[: length - half]} ... {text[-half:]}"


def short_message(message: str, parser: ArgumentParser) -> str:
    """Return what the parser says of a command line or configuration file, in a line.

    What is unknown comes with a suggestion; of all else the parser's words are passed on, without the alternatives
    that it tried.

    Args:
        message: The parser's message.
        parser: The parser of the verb.
    """
    return _shortened(_unknown(message, parser) or _passed_on(message, parser), _LONGEST_MESSAGE)


def _unknown(message: str, parser: ArgumentParser) -> str:
    """Return what is said of an unknown option, argument or class; nothing if the message is about another mistake."""
    if match := _UNKNOWN_OPTION.search(message):
        return _unknown_option(match[1], parser) if match[2] is None else _unknown_key(match[2], parser)
    if match := _UNKNOWN_ARGUMENT.search(message):
        return _unknown_argument(match[1], message, _KEY.findall(message[: match.start()]), parser)
    if match := _ABSTRACT.search(message):
        keys = _KEY.findall(message[: match.start()])
        return _without_class(".".join(keys), match[2] or "ARGUMENT", imported_class(match[1], object))
    if match := _UNKNOWN_CLASS.search(message):
        return _unknown_class(match[1] or match[2], message, _KEY.findall(message[: match.start()]), parser)
    return ""


def _passed_on(message: str, parser: ArgumentParser) -> str:
    if match := _MISSING.search(message):
        return f"{_missing(match[1], _KEY.findall(message[: match.start()]), parser)} is missing"
    lines = [_CLUTTER.sub("", line).strip(" -") for line in message.splitlines() if not _NOISE.match(line)]
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", "; ".join(dict.fromkeys(filter(None, lines))))
    option = ".".join(dict.fromkeys(_KEY.findall(message)))
    return _shortened(f"--{option}: {text}" if option else text, _LONGEST_PASSED)


def _unknown_option(name: str, parser: ArgumentParser) -> str:
    if not name.startswith("-"):
        hint = question([f"--{section} {name}" for section, base in SECTIONS.items() if name in named(base)])
        return f"'{name}' belongs to no option: options begin with --, and lists are written [a,b]{hint}"
    hint = did_you_mean(name, _options(parser)) or question(_homes(name.removeprefix("--")))
    return f"there is no option {name}{hint}"


def _missing(names: str, keys: list[str], parser: ArgumentParser) -> str:
    if keys:
        return f"--{'.'.join(keys)}.{names}"
    bare = [name.strip().removeprefix(f"{_verb(parser)}.") for name in names.split(",")]
    return ", ".join(f"--{name}" if f"--{name}" in _options(parser) else name.upper() for name in bare)


def _unknown_key(name: str, parser: ArgumentParser) -> str:
    return f"there is no option {name}{did_you_mean(name, [each.removeprefix('--') for each in _options(parser)])}"


def _options(parser: ArgumentParser) -> list[str]:
    """Return the options of a verb, its own with and without prefix."""
    options = [each for each in parser._option_string_actions if each.startswith("--") and not each.endswith("+")]
    return options + [each.replace(f"--{_verb(parser)}.", "--") for each in options]


def _homes(name: str) -> list[str]:
    """Return the options of models and data with this argument."""
    if name in _OF_OPTIMIZERS:
        return [_of_optimizer(name)]
    sections = [(section, {*named(base).values()}) for section, base in SECTIONS.items()]
    return [f"--{section}.{name}" for section, classes in sections if any(name in _arguments(cls) for cls in classes)]


def _of_optimizer(name: str) -> str:
    # Its class has to be named, since the default one is none on the command line.
    return f"--model.optimizer Adam --model.optimizer.{_OF_OPTIMIZERS[name]}"


def _unknown_argument(name: str, message: str, keys: list[str], parser: ArgumentParser) -> str:
    cls = next((cls for cls in reversed(_classes(message)) if cls is not None), None)
    if cls is None:
        return f"--{'.'.join(keys)} has no argument '{name}'"
    if cls in _bases(keys, message, parser) and cls not in named(cls).values() and cls.__subclasses__():
        return _without_class(".".join(keys), name, cls)
    names = _arguments(cls)
    if "optimizer" in names and name in _OF_OPTIMIZERS:
        hint = question([_of_optimizer(name)])
    else:
        hint = did_you_mean(name, names) or (f"; it has {', '.join(names)}" if names else "")
    return f"{cls.__name__} has no argument '{name}'{hint}"


def _without_class(option: str, argument: str, base: type | None) -> str:
    known = f"; there are {', '.join(named(base))}" if base and named(base) else ""
    return f"--{option}.{argument} needs a class before it: --{option} NAME{known}"


def _unknown_class(name: str, message: str, keys: list[str], parser: ArgumentParser) -> str:
    bases = _bases(keys, message, parser)
    known = {cls.__name__ for base in bases for cls in (base, *_subclasses(base))}
    own = ", ".join(each for base in bases for each in named(base))
    hint = did_you_mean(name.rpartition(".")[2], known) or (f"; there are {own}" if own else "")
    return f"--{'.'.join(keys)}: there is no class '{name}'{hint}"


def _bases(keys: list[str], message: str, parser: ArgumentParser) -> list[type]:
    """Return what classes an option takes, found from the parser's option along the classes that lead to it."""
    hint = getattr(parser._option_string_actions.get(f"--{keys[0]}" if keys else ""), "_typehint", Any)
    for cls, key in zip(_classes(message), keys[1:], strict=False):
        hint = argument_hints(cls).get(key, Any) if cls else Any
    return [base for base in bases_in(hint) if base.__module__ != "builtins"]


def _classes(message: str) -> list[type | None]:
    """Return the classes on the way to an error; ``None`` for a path that is no imported class."""
    return [imported_class(path, object) for path in _CLASS.findall(message)]


def _arguments(cls: type) -> list[str]:
    arguments: list[str] = ArgumentParser().add_class_arguments(cls, "object", fail_untyped=False)
    return [each.removeprefix("object.") for each in arguments]


def _subclasses(cls: type) -> Iterator[type]:
    subclass: type
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _verb(parser: ArgumentParser) -> str:
    return parser.prog.rpartition(" ")[2]
