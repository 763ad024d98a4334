"""Short ways to write a command line, spelled out for the parser."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from lightning_modules.losses import FormulaLoss
from lightning_modules.search.studies import loss_of

_LOSS_OPTION = re.compile(r"--model(\.init_args)?\.loss((\.init_args)?\.base)?")
_NAME = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Shorthand:
    """What a verb's own options may leave out.

    Attributes:
        prefix: What the parser has before their names, such as ``search.``; empty if nothing.
        names: The names of the options.
        lists: Those that take several values, and whether these are texts.
    """

    prefix: str
    names: Collection[str]
    lists: dict[str, bool]

    @classmethod
    def of(cls, settings: type, prefix: str) -> "Shorthand":
        """Return the shorthand of a verb whose options are the fields of a dataclass."""
        hints = get_type_hints(settings)
        own: Sequence[Field[Any]] = fields(settings)
        elements = {field.name: _element(hints[field.name]) for field in own}
        lists = {name: element not in (int, float) for name, element in elements.items() if element is not None}
        return cls(prefix, frozenset(elements), lists)


def spell_out(arguments: Sequence[str], shorthand: Shorthand | None = None) -> list[str]:
    """Return a command line as the parser reads it.

    A verb's own options need no prefix (``--rounds 5`` for ``--search.rounds 5``), those that are lists take several
    values (``--losses BCE MSE``), and ``--model.loss`` takes the text of a formula, or ``RUN#RANK`` for one of a study;
    so does ``--model.loss.base``, the loss that another one builds on.

    Args:
        arguments: The arguments after the verb.
        shorthand: What the verb's own options may leave out; ``None`` if it has none.

    Raises:
        FileNotFoundError: If a named study is not there.
        ValueError: If a formula cannot be read, or a study has no such rank.
    """
    return list(_spelled_out(list(arguments), shorthand or Shorthand("", (), {})))


def _spelled_out(arguments: list[str], shorthand: Shorthand) -> Iterator[str]:
    while arguments:
        option, equals, value = arguments.pop(0).partition("=")
        name = option.removeprefix("--").removeprefix(shorthand.prefix)
        if not option.startswith("--"):
            yield option + equals + value
        elif name in shorthand.names:
            values = [value] if equals else _values(arguments, many=name in shorthand.lists)
            yield from _own(f"--{shorthand.prefix}{name}", values, shorthand.lists.get(name))
        elif _LOSS_OPTION.fullmatch(option) and (equals or arguments):
            yield f"{option}={_loss(value if equals else arguments.pop(0))}"
        else:
            yield option + equals + value


def _values(arguments: list[str], *, many: bool) -> list[str]:
    values: list[str] = []
    # A formula may begin with a minus, so a single dash does not end the list.
    while arguments and not arguments[0].startswith("--") and (many or not values):
        values.append(arguments.pop(0))
    return values


def _own(option: str, values: list[str], are_texts: bool | None) -> Iterator[str]:
    is_list = are_texts is not None and not (len(values) == 1 and values[0].startswith("["))
    if is_list and values != ["null"]:
        yield f"{option}={json.dumps(values) if are_texts else '[' + ','.join(values) + ']'}"
    else:
        yield f"{option}={values[0]}" if values else option


def _loss(text: str) -> str:
    if _NAME.fullmatch(text) or text.startswith(("{", "[")) or Path(text).is_file():
        return text
    return json.dumps((loss_of(text) or FormulaLoss(text)).spec())


def _element(hint: Any) -> Any:
    """Return the type of a list's elements; ``None`` if the option is no list."""
    alternatives = [hint, *get_args(hint)]
    return next((get_args(each)[0] for each in alternatives if getattr(each, "__origin__", None) is list), None)
