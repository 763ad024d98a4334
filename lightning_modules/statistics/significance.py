"""What may be called a difference when many losses are compared, and how small a difference can be seen."""

import math
from collections.abc import Sequence
from statistics import NormalDist


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, so that all below a level hold together at that level.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 1979,
    https://www.jstor.org/stable/4615733

    Args:
        p_values: One p-value a comparison; nan where there was nothing to compare, which does not count.

    Raises:
        ValueError: If a p-value lies outside [0, 1].
    """
    ascending = sorted((p_value, index) for index, p_value in enumerate(p_values) if not math.isnan(p_value))
    if ascending and not 0 <= ascending[0][0] <= ascending[-1][0] <= 1:
        raise ValueError(f"p-values lie between 0 and 1, got {ascending[0][0]} to {ascending[-1][0]}.")
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for place, (p_value, index) in enumerate(ascending):
        largest = max(largest, min(1.0, (len(ascending) - place) * p_value))
        adjusted[index] = largest
    return adjusted


def resolvable_difference(half_width: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest true difference that a two-sided test at this level finds with about this probability.

    Args:
        half_width: Half the width of the difference's interval at that level.
        power: Probability of a significant result at that difference.
        level: Probability of a significant result where there is no difference.

    Raises:
        ValueError: If power or level is no probability strictly between 0 and 1.
    """
    for name, value in (("power", power), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is a probability strictly between 0 and 1, got {value}.")
    normal = NormalDist()
    return (1 + normal.inv_cdf(power) / normal.inv_cdf(1 - level / 2)) * half_width
