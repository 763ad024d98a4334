"""Dialects of the formula language: one for every kind of loss, with its variables and operators."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from lightning_modules.losses.formulas.operators import AGGREGATIONS, OPERATORS, SCORE_OPERATORS, Operator

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


@dataclass(frozen=True, eq=False)
class Dialect:
    r"""The variables and operators that formulas of one kind of loss may have.

    Attributes:
        name: Its name in options.
        symbols: The LaTeX symbol of every variable.
        arguments: What the loss is a function of, in LaTeX.
        operators: Its operators.
        predicted: The variables that depend on the model, so that a formula of them can be trained.
        meaning: What the variables are, as LaTeX with the symbols; empty where the symbols are usual.
        advice: What is wrong with a formula that has no gradient, and what to do.
        example: A formula that can be trained.
    """

    name: str
    symbols: Mapping[str, str]
    arguments: str
    operators: tuple[Operator, ...]
    predicted: tuple[str, ...]
    meaning: str
    advice: str
    example: str

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of its variables."""
        return tuple(self.symbols)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its variables and operators."""
        return (*self.symbols, *(operator.name for operator in self.operators))

    def has(self, names: Iterable[str]) -> bool:
        """Return whether all names are those of its variables and operators."""
        return self._names.issuperset(names)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.names)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        # A copy, also one in another process, is the same object.
        return dialect_named, (self.name,)


#: Losses of one prediction and its label.
POINTWISE = Dialect(
    name="pointwise",
    symbols={"pred": r"\hat{y}", "label": "y"},
    arguments=r"\hat{y}, y",
    operators=OPERATORS,
    predicted=("pred",),
    meaning="",
    advice="it has no prediction in it: write pred where the predicted probability stands",
    example="(label - pred)**2",
)
#: Losses of the score of an item that a user has, and of those of its negatives. ``gap`` is ``neg - pos``, and what
#: ends in ``_t`` is divided by the temperature. ``beta`` is the score from which on items are among the user's top K,
#: ``log_popularity`` the logarithm of the number of training users of the item that the user has.
RANKING = Dialect(
    name="ranking",
    symbols={
        "pos": "s_{+}",
        "neg": "s_{j}",
        "gap": "d_{j}",
        "pos_t": r"\bar{s}_{+}",
        "neg_t": r"\bar{s}_{j}",
        "gap_t": r"\bar{d}_{j}",
        "beta": r"\beta",
        "log_popularity": r"\pi",
    },
    arguments=r"s_{+}, s_{1}, \dots, s_{N}",
    operators=(*OPERATORS, *SCORE_OPERATORS, *AGGREGATIONS),
    predicted=("pos", "neg", "gap", "pos_t", "neg_t", "gap_t"),
    meaning=r"$s_{+}$ is the score of an item that the user has, $s_{j}$ that of one of $N$ negatives, "
    r"$d_{j} = s_{j} - s_{+}$, a bar divides by the temperature, $\beta$ is the score from which on items are among "
    r"the user's top $K$, $\pi$ the logarithm of the item's number of training users, and a value that differs between "
    r"negatives is averaged over them",
    advice="it has no score with a gradient in it: write pos, neg or gap where scores stand",
    example="softplus(gap_t)",
)

#: A text or program without variables is of the first one that has its operators.
DIALECTS: tuple[Dialect, ...] = (POINTWISE, RANKING)

#: The names of all variables, in the order in which sums and products are sorted.
VARIABLES: tuple[str, ...] = tuple(name for dialect in DIALECTS for name in dialect.variables)


def dialect_named(name: str) -> Dialect:
    """Return a dialect.

    Raises:
        ValueError: If there is none of that name.
    """
    found = next((dialect for dialect in DIALECTS if dialect.name == name), None)
    if found is None:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        raise ValueError(f"formulas have no dialect '{name}'; choose one of {known}")
    return found


def dialect_with(names: Collection[str]) -> Dialect | None:
    """Return the first dialect that has all names; None where there is none."""
    return next((dialect for dialect in DIALECTS if dialect.has(names)), None)


def dialect_of(text: str) -> Dialect:
    """Return the first of the dialects that have most of the names in a text."""
    names = {name.lower() for name in _NAME.findall(text)}
    return max(DIALECTS, key=lambda dialect: len(names.intersection(dialect.names)))
