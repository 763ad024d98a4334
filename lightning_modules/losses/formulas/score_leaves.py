"""The values of the variables of scores."""

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

#: Takes scores of positives, float [..., 1], those of their negatives, float [..., N], and the temperature.
_LEAVES: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "pos": lambda positive, _, __: positive,
    "neg": lambda _, negative, __: negative,
    "gap": lambda positive, negative, _: negative - positive,
    "pos_t": lambda positive, _, temperature: positive / temperature,
    "neg_t": lambda _, negative, temperature: negative / temperature,
    "gap_t": lambda positive, negative, temperature: (negative - positive) / temperature,
}
#: Variables and operators of which a temperature changes the value: ``hard`` has it in its weights.
TEMPERED = frozenset({"pos_t", "neg_t", "gap_t", "hard"})


def score_leaves(names: Iterable[str], positive: Tensor, negative: Tensor, temperature: float) -> dict[str, Tensor]:
    """Return the values of those of the named variables that are made of scores; they are linear in these.

    Args:
        names: Names of variables.
        positive: Scores of positives, float [..., 1].
        negative: Scores of each one's negatives, float [..., N].
        temperature: What those that end in ``_t`` are divided by.
    """
    return {name: _LEAVES[name](positive, negative, temperature) for name in names if name in _LEAVES}
