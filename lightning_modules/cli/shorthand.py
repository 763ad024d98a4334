"""Short ways to write a command line, spelled out for the parser."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin, get_type_hints

from lightning_modules.cli.limits import refuse_endless
from lightning_modules.cli.names import as_names, takes_names
from lightning_modules.cli.registry import argument_hints, bases_in
from lightning_modules.losses import FormulaLoss, Loss
from lightning_modules.search.study import loss_of
from lightning_modules.utilities.serialization import is_file

_LOSS_OPTION = re.compile(r"--model(\.init_args)?\.loss((\.init_args)?\.base)?")
_TRUTHS = ("true", "false", "yes", "no", "null")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
#: Files of settings are known by their names, since a loss may be called like any other file.
_SETTINGS = (".yaml", ".yml", ".json")
_LONGEST_SHOWN = 100
_NAMES = re.compile(rf"{_NAME.pattern}(,\s*{_NAME.pattern})+")


@dataclass(frozen=True)
class Shorthand:
    """What a verb's own options may leave out.

    Attributes:
        prefix: What the parser has before their names, such as ``search.``; empty if nothing.
        hints: The types of the options by their names.
    """

    prefix: str
    hints: Mapping[str, Any]

    @classmethod
    def of(cls, settings: type, prefix: str) -> "Shorthand":
        """Return the shorthand of a verb whose options are the fields of a dataclass."""
        hints = get_type_hints(settings)
        return cls(prefix, {field.name: hints[field.name] for field in fields(settings)})

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
    losses take the text of a formula, or ``RUN#RANK`` for one of a study.

    Args:
        arguments: The arguments after the verb.
        shorthand: What the verb's own options may leave out; ``None`` if it has none.

    Raises:
        FileNotFoundError: If a named study is not there.
        ValueError: If a formula cannot be read or lacks ``pred``, or a study has no such rank.
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
            yield "=".join([f"--{shorthand.prefix}{name}", *_own(name, values, hint)])
        elif _LOSS_OPTION.fullmatch(option) and (equals or arguments):
            yield f"{option}={_trainable(value if equals else arguments.pop(0))}"
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


def _own(name: str, values: list[str], hint: Any) -> list[str]:
    """Return what follows an option's name: one text, or nothing."""
    element = _element(hint)
    if element is None:
        return [_loss(value) if _is_loss(hint) else value for value in values]
    if len(values) <= 1 and values != [""] and all(value == "null" or value.startswith("[") for value in values):
        return values
    if element in (int, float):
        return [f"[{','.join(values)}]"]
    return [json.dumps([each for value in values for each in _elements(name, value, element)])]


def _elements(name: str, value: str, element: Any) -> list[Any]:
    """Return what one value of a list stands for: names may be joined by commas, objects are JSON."""
    texts = re.split(r",\s*", value) if _NAMES.fullmatch(value) else [value]
    texts = [_loss(text) for text in texts] if _is_loss(element) else texts
    return [_object(name, text) if text.startswith("{") else text for text in texts]


def _object(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        example = '{"class_path": "Focal", "init_args": {"gamma": 1}}'
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        raise ValueError(f"--{name}: {shown} is no JSON object ({error}); one looks like {example}") from error


def _trainable(text: str) -> str:
    """Spell out a model's loss; raises ``ValueError`` if it is a formula that no prediction changes."""
    spelled = _loss(text)
    if spelled == text or "init_args" not in (spec := json.loads(spelled)):
        return spelled
    if "pred" not in spec["init_args"]["formula"]:
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        raise ValueError(
            f"loss '{shown}' has no pred, so that a model learns nothing from it; one is (label - pred)**2"
        )
    return spelled


def _loss(text: str) -> str:
    """Spell out a loss so that the parser, which reads a file of any name as settings, takes it for none."""
    if text.startswith(("{", "[")) or (text.endswith(_SETTINGS) and is_file(text)):
        return text
    if _NAME.fullmatch(text):
        return json.dumps({"class_path": text}) if os.path.lexists(text) else text
    return json.dumps((loss_of(text) or FormulaLoss(text)).spec())


def _is_loss(hint: Any) -> bool:
    return any(issubclass(base, Loss) for base in bases_in(hint))


def _element(hint: Any) -> Any:
    """Return the type of a list's elements; ``None`` if the option is no list."""
    alternatives = [hint, *get_args(hint)]
    return next((get_args(each)[0] for each in alternatives if get_origin(each) in (list, Sequence)), None)


def _argument(hint: Any, name: str) -> Any:
    """Return the type of an argument of the class that an option names; ``None`` if it says none."""
    hints = [argument_hints(base) for base in bases_in(hint)]
    return next((each[name] for each in hints if name in each), None)
