"""The losses of a comparison as its folder describes them, built again without importing anything that it names."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import lightning_modules.losses as known
from lightning_modules.check.sources import as_json
from lightning_modules.losses import Formula, FormulaBased, FormulaError, LossObject, Numerics, loss_of_formula
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.untrusted_data import built

_PLAIN = (bool, int, float, str, type(None))
#: Larger numbers are none that a loss was trained with.
_LARGEST = 1e9
_SHOWN = 40
_CLASS_NAME = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class FoundLoss:
    """A loss of a comparison's table.

    Attributes:
        loss: The loss; ``None`` if its class is none of the project's, or nothing tells its arguments.
        option: What names it on the command line; empty if nothing tells that.
    """

    loss: LossObject | None
    option: str

    @property
    def reference(self) -> str:
        """What names it on the command line where that is not what a report shows as its code."""
        return "" if self.loss is not None and self.option == self.loss.title else self.option


def found_loss(title: str, spec: object, numerics: Numerics, temperature: float) -> FoundLoss:
    """Return a loss of a comparison.

    Args:
        title: The text that identifies it.
        spec: Its class and arguments as JSON; anything else if an earlier version wrote the table.
        numerics: The numerics that a title leaves open.
        temperature: The temperature of formulas of scores.
    """
    if not (isinstance(spec, str) and _names_class(spec)):
        loss = loss_in(title, numerics, temperature)
        return FoundLoss(loss, "" if loss is None else option_of(loss))
    loss = described_loss(spec)
    return FoundLoss(loss, spec if loss is None else option_of(loss))


def _names_class(spec: str) -> bool:
    with suppress(ValueError, RecursionError):
        found = json.loads(spec)
        return isinstance(found, Mapping) and isinstance(found.get("class_path"), str)
    return False


def described_loss(text: str) -> LossObject | None:
    """Return the loss that a column ``spec`` describes; ``None`` if it is none of the project's own."""
    # The folder may be anybody's, so that its numbers and texts need not be what a loss takes.
    with suppress(TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError):
        return _built(json.loads(text))
    return None


def loss_in(text: str, numerics: Numerics, temperature: float) -> LossObject | None:
    """Return the loss of a formula, or the hand-made one of a name; ``None`` for others."""
    try:
        return loss_of_formula(Formula.parse(text), numerics, temperature)
    except FormulaError:
        kind = getattr(known, text, None) if text in known.__all__ else None
    # Some take arguments, which a name does not have.
    with suppress(TypeError):
        return kind() if isinstance(kind, type) and issubclass(kind, LossObject) else None
    return None


def option_of(loss: LossObject) -> str:
    """Return what names a loss on the command line: its formula, its class, or its class and arguments as JSON."""
    if isinstance(loss, FormulaBased):
        is_plain = not _CLASS_NAME.fullmatch(loss.title) and loss_of_formula(loss.formula).spec() == loss.spec()
        return loss.title if is_plain else as_json(loss)
    kind = type(loss)
    # A class of the project needs no path, and one whose arguments are all the defaults no arguments.
    is_named = getattr(known, kind.__name__, None) is kind and loss.title == kind.__name__
    return kind.__name__ if is_named else as_json(loss)


def _built(spec: Any) -> LossObject | None:
    module, _, name = str(spec["class_path"]).rpartition(".")
    kind = getattr(known, name, None) if module == known.__name__ and name in known.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, LossObject)):
        return None
    hints = get_type_hints(kind.__init__)
    loss = kind(**{argument: _argument(value, hints[argument]) for argument, value in spec["init_args"].items()})
    # What training takes must not differ from what is shown.
    return loss if loss.spec() == spec else None


def _argument(value: Any, hint: Any) -> Any:
    if Numerics in get_args(hint):
        return built(Numerics, value)
    if isinstance(value, Mapping):
        return _built(value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) not in _PLAIN or (hint in _PLAIN and type(value) is not hint):
        raise TypeError(f"{shortened(str(value), _SHOWN)} is no {hint}")
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise ValueError(f"{shortened(str(value), _SHOWN)} is larger than options of losses are")
    return value
