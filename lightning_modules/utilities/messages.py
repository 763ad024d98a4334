"""Texts and lists cut to what an error message has room for."""

from collections.abc import Sequence


def shortened(text: str, length: int = 80) -> str:
    """Return a text, or its first characters and an ellipsis if it has more than ``length``."""
    return text if len(text) <= length else f"{text[:length]}..."


def listed(items: Sequence[str], at_most: int, separator: str = "; ") -> str:
    """Return the first items as one text, and how many more there are."""
    more = f", and {len(items) - at_most:,} more" if len(items) > at_most else ""
    return separator.join(items[:at_most]) + more


def without_middle(text: str, length: int) -> str:
    """Return a text, or its two ends if it has more than ``length`` characters."""
    half = length // 2
    return text if len(text) <= length else f"{text[: length - half]} ... {text[-half:]}"
