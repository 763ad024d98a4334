"""What somebody may have meant who wrote a name that is not there."""

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytorch_lightning as pl
from jsonargparse import ArgumentParser
from pytorch_lightning.loggers import Logger
from torch.optim import Optimizer

from datamodules import ImpressionsDataModule
from lightning_modules.agents import ActorCritic
from lightning_modules.cli.registry import SECTIONS, named
from lightning_modules.losses import Loss
from lightning_modules.multitask.weighting import TaskWeighting
from lightning_modules.search.strategies import Strategy

#: Arguments of the optimizer, which are often taken for those of the model.
_OF_OPTIMIZERS = {"lr": "lr", "learning_rate": "lr", "weight_decay": "weight_decay"}


def close(name: str, known: Iterable[str]) -> str:
    """Return a question after one or two known names that look like this one; nothing if none does."""
    by_lower = {each.lower(): each for each in known}
    found = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.7)]
    return _question(found)


def close_option(name: str, parser: ArgumentParser) -> str:
    """Return a question after options that look like this one, or that belong to a model or to data."""
    flags = [flag for action in parser._actions for flag in action.option_strings if re.match(r"--.*[^+]$", flag)]
    flags += [re.sub(r"^--(search|compare|polish|predict)\.", "--", flag) for flag in flags]
    if not name.startswith("-"):
        return close(name, [flag.removeprefix("--") for flag in flags])
    return close(name, flags) or _question(_homes(name.removeprefix("--")))


def argument_names(cls: type) -> list[str]:
    """Return the names of the arguments that options of a class set."""
    arguments: list[str] = ArgumentParser().add_class_arguments(cls, "object", fail_untyped=False)
    return [each.removeprefix("object.") for each in arguments]


def close_argument(name: str, names: list[str]) -> str:
    """Return a question after arguments that look like this one, or else what there are."""
    if "optimizer" in names and name in _OF_OPTIMIZERS:
        return _question([_of_optimizer(name)])
    return close(name, names) or (f"; it has {', '.join(names)}" if names else "")


def _homes(name: str) -> list[str]:
    if name in _OF_OPTIMIZERS:
        return [_of_optimizer(name)]
    return [f"--{section}.{name}" for section, base in SECTIONS.items() if _has_argument(base, name)]


def _of_optimizer(name: str) -> str:
    # Its class has to be named, since the default one is none on the command line.
    return f"--model.optimizer Adam --model.optimizer.{_OF_OPTIMIZERS[name]}"


def _has_argument(base: type, name: str) -> bool:
    return any(name in argument_names(cls) for cls in named(base).values())


def _question(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


_BASE_CLASSES: dict[str, type] = {
    **SECTIONS,
    "impressions": ImpressionsDataModule,
    "callbacks": pl.Callback,
    "logger": Logger,
    "optimizer": Optimizer,
    "loss": Loss,
    "base": Loss,
    "baseline": Loss,
    "references": Loss,
    "losses": Loss,
    "strategy": Strategy,
    "agent": ActorCritic,
    "weighting": TaskWeighting,
    "weightings": TaskWeighting,
}
#: What torch says where it has no memory left, as a plain RuntimeError.
_ALLOCATOR = "can't allocate memory"
_LONGEST_LINE, _LONGEST_MESSAGE, _MOST_LINES = 1_000, 1_500, 8
_VERB = re.compile(r"^(fit|validate|test|predict|search|check|compare|polish|export)\.")
_NOISE = re.compile(
    r"^[\s-]*(Parser key |Problem with given |Does not validate |Subtypes: |Errors:|Given value|Expected a path but "
    r"|Expected a <class 'NoneType'>|Subclass types expect|a class path |a dict )"
)


def own_message(error: BaseException) -> str:
    """Return the message of an error, or of its cause where the error only says that something could not be built."""
    while error.__cause__ is not None and re.match(
        r"\s*-?\s*(Does not validate|Problem with given|Parser key)", str(error)
    ):
        error = error.__cause__
    text = str(error).strip() or type(error).__name__
    if isinstance(error, MemoryError) or _ALLOCATOR in text:
        text = f"there is not enough memory: {text}. Make sizes smaller, such as batches, embeddings or layers"
    return shortened_message(text)


def shortened_message(text: str) -> str:
    """Return a message as it is, or, where it is too long for anybody to read, its begin and its end."""
    lines = [_shortened(line, _LONGEST_LINE) for line in text.splitlines()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 2], "...", lines[-1]]
    return _shortened("\n".join(lines), _LONGEST_MESSAGE)


def _shortened(text: str, length: int) -> str:
    half = length // 2
    return text if len(text) <= length else f"{text[: length - half]} ... {text[-half:]}"


def short_message(message: str, parser: ArgumentParser) -> str:
    """Return what is wrong with a command line or configuration file, in a line or two.

    Args:
        message: What the parser says: nested, and with all the alternatives that it tried.
        parser: Whose options there are.
    """
    for pattern, explain in _EXPLANATIONS.items():
        match = re.search(pattern, message)
        if match is not None:
            return shortened_message(explain(match, parser))
    lines = [line.strip(" -") for line in message.splitlines() if line.strip() and not _NOISE.match(line)]
    text = "; ".join(dict.fromkeys(lines))[:300]
    option = _option(message)
    return f"{option}: {text}" if option else text


def _unknown_option(match: re.Match[str], parser: ArgumentParser) -> str:
    name = match["name"].partition("=")[0]
    if not name.startswith("-") and match.re.pattern.startswith("unrecognized"):
        return f"'{name}' belongs to no option: options begin with --, and lists are written [a,b]{_class_hint(name)}"
    return f"there is no option {name}{close_option(name, parser)}"


def _class_hint(name: str) -> str:
    option = next((section for section, base in SECTIONS.items() if name in named(base)), None)
    return f"; did you mean --{option} {name}?" if option else ""


def _unknown_verb(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    verbs = re.findall(r"'(\w+)'", match["verbs"])
    return f"there is no verb '{match['name']}'{close(match['name'], verbs) or '; choose among ' + ', '.join(verbs)}"


def _missing_verb(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    verbs = parser._subcommands_action.choices  # type: ignore[union-attr]
    return f"there is no verb; choose among {', '.join(verbs)}"


def _unknown_argument(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    path = match["path"] or _last(r"Problem with given class_path '([\w.]+)'", match.string[: match.start()])
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)
    if cls is not None and cls in _BASE_CLASSES.values() and cls is not ImpressionsDataModule:
        option = _option(match.string[: match.start()])
        known = f"; there are {', '.join(named(cls))}" if named(cls) else ""
        return f"{option}.{match['name']} needs a class before it: {option} NAME{known}"
    hint = close_argument(match["name"], argument_names(cls)) if cls else ""
    return f"{name or 'the class'} has no argument '{match['name']}'{hint}"


def _unknown_class(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    option = _option(match.string[: match.start()])
    base = _BASE_CLASSES.get(option.rpartition(".")[2].strip("-"), object)
    classes = [base, *_subclasses(base)] if base is not object else []
    hint = close(match["name"].rpartition(".")[2], {cls.__name__ for cls in classes})
    own = ", ".join(named(base)) if classes else ""
    return f"{option}: there is no class '{match['name']}'{hint or (f'; there are {own}' if own else '')}"


def _no_class(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    option, value = _option(match.string[: match.start()]), _first(r"Given value: (.*)", match.string[match.end() :])
    return f"{option}: {value} is no {match['name']}; set its arguments one by one, which {option}.help lists"


def _missing_argument(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    option = _option(match.string[: match.start()])
    if option:
        return f"{option}.{match['name']} is missing"
    if match["name"].rpartition(".")[2] == "run":
        return "RUN is missing: name the folder of a search, or for onnx a checkpoint"
    names = [f"--{re.sub(_VERB, '', name.strip())}" for name in match["name"].split(",")]
    return f"{', '.join(names)} is missing; give it there or in a file named with --config"


def _missing_file(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    return f"there is no file {match['name']}"


def _no_file(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    return f"{match['name']} is a folder, where --config takes a YAML or JSON file"


def _no_settings(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    found = f"begins with '{match['text']}'" if match["text"] else "is empty"
    return f"the --config file {found}, which are no settings; --print_config prints some"


def _no_value(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    return f"{match['name']} needs a value"


def _empty_argument(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    return "an argument is empty and belongs to no option: options begin with --"


def _wrong_type(match: re.Match[str], parser: ArgumentParser) -> str:  # noqa: ARG001
    value = match["value"] or _first(r"Given value: (.*)", match.string[match.end() :])
    option = _option(match.string[: match.start()])
    if match["type"] in ("list", "tuple", "collections.abc.Sequence"):
        return f"{option}: '{value}' is no list; write [{value}] for one value, [a,b] for several"
    if match["literals"]:
        return f"{option}: '{value}' is not one of {match['literals']}"
    types = dict.fromkeys(re.findall(r"Expected a <class '((?!NoneType)\w+)'>", match.string))
    hint = f'; write names in quotes: "{value}"' if [*types] == ["str"] else ""
    return f"{option}: '{value}' is not of type {' or '.join(types)}{hint}"


_EXPLANATIONS: dict[str, Callable[[re.Match[str], ArgumentParser], str]] = {
    r'expected "subcommand" to be one of ': _missing_verb,
    r"unrecognized arguments: (?P<name>\S+)": _unknown_option,
    r"Subcommand '\w+' does not accept option '(?P<name>[^']+)'": _unknown_option,
    r"invalid choice: '(?P<name>[^']*)' \(choose from (?P<verbs>.*)\)": _unknown_verb,
    r"Option '(?P<name>[^']+)' is not accepted"
    r"(\. Got value: Namespace\(class_path='(?P<path>[\w.]+)')?": _unknown_argument,
    r"Not a valid subclass of (?P<name>\w+)": _no_class,
    r"Expected a dot import path string: (?P<name>\S+)": _unknown_class,
    r"module '[\w.]+' has no attribute '(?P<name>\w+)'": _unknown_class,
    r"the following arguments are required: (?P<name>.+)": _missing_argument,
    r"File does not exist: (?P<name>.+)": _missing_file,
    r"Path is not a file: (?P<name>.+)": _no_file,
    r"Unexpected config: (?P<text>.*)": _no_settings,
    r"argument (-c/)?(?P<name>--[\w.]+)(/\S+)?: expected one argument": _no_value,
    r"unrecognized arguments:\s*$": _empty_argument,
    r"Expected a (<class '(?P<type>(?!NoneType)[\w.]+)'>|typing\.Literal\[(?P<literals>[^\]]+)\])"
    r"(\. Got value: (?P<value>.*?(?=\. Got value: |\n|$)))?": _wrong_type,
}


def _option(message: str) -> str:
    """Return the option that an error is about, from the keys on the way to it."""
    keys = re.findall(r'Parser key "([\w.]+)"', message)
    return f"--{'.'.join(keys)}" if keys else ""


def _last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    return found[-1] if found else ""


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    subclass: type[Any]
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
