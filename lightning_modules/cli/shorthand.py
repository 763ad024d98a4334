"""Shorthand on the command line, spelled out for the parser: options without prefix, lists without brackets."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lightning_modules.cli.option_values import (
    OfText,
    as_loss,
    as_names,
    as_trainable_loss,
    loss_of_text,
    takes_losses,
    takes_names,
)
from lightning_modules.cli.refusals import refuse_endless
from lightning_modules.cli.type_hints import argument_hints, bases_in
from lightning_modules.utilities.messages import shortened

_LOSS_OPTION = re.compile(r"--model(\.init_args)?\.loss((\.init_args)?\.base)?")
_TRUTHS = ("true", "false", "yes", "no", "null")
_LONGEST_SHOWN = 100
_NAMES = re.compile(r"[A-Za-z_][\w.]*(,\s*[A-Za-z_][\w.]*)+")


@dataclass(frozen=True)
class Shorthand:
    """The own options of a verb, which need no prefix on the command line.

    Attributes:
        prefix: Their prefix in the parser, such as ``search.``; empty if there is none.
        hints: The types of the options by their names.
        of_text: Returns the loss of a formula or reference among them.
    """

    prefix: str
    hints: Mapping[str, Any]
    of_text: OfText = loss_of_text

    @classmethod
    def of(cls, settings: type, prefix: str, of_text: OfText = loss_of_text) -> "Shorthand":
        """Return the shorthand of a verb whose options are the fields of a dataclass."""
        hints = get_type_hints(settings)
        return cls(prefix, {field.name: hints[field.name] for field in fields(settings)}, of_text)

    def is_own(self, name: str) -> bool:
        """Whether this is an option of the verb, or an argument of the class that one of them names."""
        return name.partition(".")[0] in self.hints

    def hint(self, name: str) -> Any:
        """Return the type of an option, or of an argument of its class; ``None`` if the class leaves it open."""
        option, _, argument = name.partition(".")
        hint = self.hints[option]
        return _argument(hint, argument) if argument else hint


def spell_out(arguments: Sequence[str], shorthand: Shorthand | None = None) -> list[str]:
    """Return a command line as the parser reads it.

    A verb's own options need no prefix (``--rounds 5`` for ``--search.rounds 5``, ``--space.nodes 8`` for
    ``--search.space.nodes 8``), those that are lists take several values (``--losses BCE MSE``), and switches none
    (``--overwrite``). ``--model.loss``, ``--model.loss.base``, the loss that another one builds on, and a verb's own
    losses take the text of a formula, or ``RUN#RANK``, ``RUN#front:OPERATORS`` or ``RUN#answer`` for one of a study.

    Args:
        arguments: The arguments after the verb.
        shorthand: The verb's own options; ``None`` if it has none.

    Raises:
        FileNotFoundError: If a named study is not there.
        ValueError: If a formula cannot be read or lacks ``pred``, or a study has no such formula.
    """
    return list(_spelled_out(list(arguments), shorthand or Shorthand("", {})))


def _spelled_out(arguments: list[str], shorthand: Shorthand) -> Iterator[str]:
    while arguments:
        option, equals, value = arguments.pop(0).partition("=")
        name = option.removeprefix("--").removeprefix(shorthand.prefix)
        if not option.startswith("--"):
            yield option + equals + value
        elif shorthand.is_own(name):
            hint = shorthand.hint(name)
            values = [value] if equals else _values(arguments, hint)
            yield "=".join([f"--{shorthand.prefix}{name}", *_own(name, values, hint, shorthand.of_text)])
        elif _LOSS_OPTION.fullmatch(option) and (equals or arguments):
            yield f"{option}={as_trainable_loss(value if equals else arguments.pop(0))}"
        elif takes_names(option) and (equals or arguments):
            yield f"{option}={as_names(value if equals else arguments.pop(0))}"
        else:
            refuse_endless(option, value if equals else next(iter(arguments), ""))
            yield option + equals + value


def _values(arguments: list[str], hint: Any) -> list[str]:
    if hint is bool and not (arguments and arguments[0].lower() in _TRUTHS):
        return ["true"]
    values: list[str] = []
    is_list = _element(hint) is not None
    # A formula may begin with a minus, so a single dash does not end the list.
    while arguments and not arguments[0].startswith("--") and (is_list or not values):
        values.append(arguments.pop(0))
    return values


def _own(name: str, values: list[str], hint: Any, of_text: OfText) -> list[str]:
    """Return what follows an option's name: one text, or nothing."""
    element = _element(hint)
    if element is None:
        return [as_loss(value, of_text) if takes_losses(hint) else value for value in values]
    if len(values) <= 1 and values != [""] and all(value == "null" or value.startswith("[") for value in values):
        return values
    if element in (int, float):
        return [f"[{','.join(values)}]"]
    return [f"[{', '.join(each for value in values for each in _elements(name, value, element, of_text))}]"]


def _elements(name: str, value: str, element: Any, of_text: OfText) -> list[str]:
    """Return what one value of a list stands for, as JSON: names may be joined by commas, objects are JSON already."""
    texts = re.split(r",\s*", value) if _NAMES.fullmatch(value) else [value]
    texts = [as_loss(text, of_text) for text in texts] if takes_losses(element) else texts
    return [_object(name, text) if text.startswith("{") else json.dumps(text) for text in texts]


def _object(name: str, text: str) -> str:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        example = '{"class_path": "Focal", "init_args": {"gamma": 1}}'
        shown = shortened(text, _LONGEST_SHOWN)
        raise ValueError(f"--{name}: {shown} is no JSON object ({error}); one looks like {example}") from error
    return text


def _element(hint: Any) -> Any:
    """Return the type of a list's elements; ``None`` if the option is no list."""
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return next((get_args(each)[0] for each in alternatives if get_origin(each) in (list, Sequence)), None)


def _argument(hint: Any, name: str) -> Any:
    """Return the type of an argument of the class that an option names; ``None`` if it says none."""
    hints = [argument_hints(base) for base in bases_in(hint)]
    return next((each[name] for each in hints if name in each), None)
