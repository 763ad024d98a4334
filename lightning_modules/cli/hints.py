"""What somebody may have meant who wrote a name that is not there."""

import difflib
import re
from argparse import ArgumentParser
from collections.abc import Iterable

from jsonargparse import ArgumentParser as ClassParser

from lightning_modules.cli.classes import SECTIONS, named

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
    arguments: list[str] = ClassParser().add_class_arguments(cls, "object", fail_untyped=False)
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
