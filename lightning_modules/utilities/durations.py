"""Durations as text: ``90s``, ``10m``, ``1h30m``."""

import math
import re

from lightning_modules.utilities.messages import shortened

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "alone": 1.0}
_DURATION = re.compile(
    r"(?=.)(?:(?P<d>[\d.]+)\s*d)?\s*(?:(?P<h>[\d.]+)\s*h)?\s*(?:(?P<m>[\d.]+)\s*m(?:in)?)?\s*(?:(?P<s>[\d.]+)\s*s)?"
    r"|(?P<alone>[\d.]+)"
)
# Most readers take 1h30 for 1h30m, and it might stand for 1h30s.
_WITHOUT_UNIT = re.compile(r".*(?P<unit>[dhm])(?:in)?\s*[\d.]+")
_NEXT_UNIT = {"d": "h", "h": "m", "m": "s"}
_LONGEST_SHOWN = 40


def seconds_of(duration: str | float) -> float:
    """Return the seconds of a duration: a number of them, or days, hours, minutes and seconds, as in ``1h30m``.

    Raises:
        ValueError: If the text is no duration, or nothing that time can be measured against.
    """
    seconds = _parsed(duration.strip().lower()) if isinstance(duration, str) else float(duration)
    if not 0 < seconds < math.inf:
        text = str(duration).strip()
        raise ValueError(f"'{shortened(text, _LONGEST_SHOWN)}' is no duration: {_advice(text.lower())}")
    return seconds


def duration_words(seconds: float) -> str:
    """Return seconds as a short text, such as ``1h30m``."""
    parts, left = [], round(seconds, 1 if seconds < _SECONDS["m"] else None)
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _SECONDS[unit])
        parts += [f"{count:g}{unit}"] if count else []
    return "".join([*parts, *([f"{left:g}s"] if left or not parts else [])])


def _parsed(text: str) -> float:
    match = _DURATION.fullmatch(text)
    try:
        return sum(float(count) * _SECONDS[unit] for unit, count in match.groupdict().items() if count) if match else 0
    except ValueError:
        return 0.0


def _advice(text: str) -> str:
    match = _WITHOUT_UNIT.fullmatch(text) if len(text) <= _LONGEST_SHOWN else None
    whole = f"{text}{_NEXT_UNIT[match['unit']]}" if match else ""
    if _parsed(whole) > 0:
        return f"its last number has no unit; write {whole}, if you mean that"
    return "write 90s, 10m, 2h, 1h30m, 1d, or a number of seconds above 0"
