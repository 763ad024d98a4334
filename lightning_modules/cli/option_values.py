"""Losses and names as values of options, spelled out so that the parser reads them as what they are."""

import json
import os
import re
from collections.abc import Callable, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from lightning_modules.check.sources import LossSources, as_json
from lightning_modules.cli.type_hints import argument_hints, bases_in
from lightning_modules.losses import Formula, LossObject, loss_of_formula
from lightning_modules.search.study import loss_of
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.serialization import is_file
from lightning_modules.utilities.untrusted_data import SettingsError, check_bounds

#: Returns the loss of a formula's text, or that which a reference names in a study.
OfText = Callable[[str], LossObject]

_OPTION = re.compile(r"--(model|data)(\.\w+)*\.(?P<argument>\w+)")
_CLASS_NAME = re.compile(r"[A-Za-z_][\w.]*")
#: Files of settings are known by their names, since a loss may be called like any other file.
_SETTINGS = (".yaml", ".yml", ".json")
_LONGEST_SHOWN = 100
# It reads every scalar as the text that it is.
_LOADER: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def as_trainable_loss(text: str) -> str:
    """Return the loss of a model as :func:`as_loss` does.

    Raises:
        ValueError: If it is a formula of no prediction or score, from which nothing is learned.
    """
    spelled = as_loss(text)
    if spelled == text or "init_args" not in (spec := json.loads(spelled)):
        return spelled
    formula = Formula.parse(spec["init_args"]["formula"])
    if not formula.variables.intersection(formula.dialect.predicted):
        shown = shortened(text, _LONGEST_SHOWN)
        predicted, example = " or ".join(formula.dialect.predicted), formula.dialect.example
        raise ValueError(f"loss '{shown}' has no {predicted}, so that a model learns nothing from it; one is {example}")
    return spelled


def loss_of_text(text: str) -> LossObject:
    """Return the loss of a formula under the default numerics, or the one that a reference names in a study."""
    return loss_of(text) or loss_of_formula(text)


def read_from(sources: Callable[[], LossSources]) -> OfText:
    """Return what makes losses of texts under the numerics and the temperature of sources.

    Args:
        sources: Returns the sources; called with the first formula, since these may read a whole study.
    """
    read = cache(sources)
    return lambda text: loss_of(text) or read().of_formula(text)


def as_loss(text: str, of_text: OfText = loss_of_text) -> str:
    """Return a class, a formula, or ``RUN#RANK``, ``RUN#front:OPERATORS`` or ``RUN#answer`` as JSON.

    The parser takes it for no file.

    Args:
        text: The text.
        of_text: Returns the loss of a formula or a reference.

    Raises:
        FileNotFoundError: If a named study is not there.
        ValueError: If a formula cannot be read, or a study has no such formula.
    """
    if text.startswith(("{", "[")) or (text.endswith(_SETTINGS) and is_file(text)):
        return text
    if _CLASS_NAME.fullmatch(text):
        return json.dumps({"class_path": text}) if os.path.lexists(text) else text
    return as_json(of_text(text))


def takes_losses(hint: Any) -> bool:
    """Return whether values of this type are losses, of which some are formulas."""
    return any(issubclass(base, LossObject) for base in bases_in(hint))


def takes_names(option: str) -> bool:
    """Return whether an option of a model or of data takes several names."""
    match = _OPTION.fullmatch(option)
    return match is not None and match["argument"] in _lists_of_names()


def as_names(value: str) -> str:
    """Return a list of columns or tasks as JSON in which every name is text, also where YAML reads a number or null.

    A value that is no list or mapping is returned as it is.
    """
    try:
        check_bounds(value)
        names = yaml.load(value, Loader=_LOADER)  # noqa: S506 (builds texts, lists and mappings)
    except (yaml.YAMLError, SettingsError):
        return value
    return json.dumps(names) if isinstance(names, list | dict) else value


@cache
def _lists_of_names() -> frozenset[str]:
    from lightning_modules.cli.registry import SECTIONS, named

    classes = [cls for base in SECTIONS.values() for cls in named(base).values()]
    hints = [hint for cls in classes for hint in argument_hints(cls).items()]
    of_names = {name for name, hint in hints if _is_names(hint)}
    # An argument of another type in another class is left out, since the class may not be known yet.
    return frozenset(of_names - {name for name, hint in hints if not _is_names(hint)})


def _is_names(hint: Any) -> bool:
    """Return whether a type is a list of texts, or a mapping from texts to such lists."""
    origin, arguments = get_origin(hint), [each for each in get_args(hint) if each not in (NoneType, Ellipsis)]
    if origin in (Union, UnionType):
        return all(map(_is_names, arguments))
    if origin is dict:
        return arguments[0] is str and _is_names(arguments[1])
    return origin in (list, tuple, Sequence) and bool(arguments) and all(each is str for each in arguments)
