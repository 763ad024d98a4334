"""Says what is wrong with the way in which a command line ended."""

import signal
from collections.abc import Iterator

from benchmarks.hostile.running import Ending, HostileInput

#: Characters and lines of the longest message.
LONGEST_MESSAGE, MOST_LINES = 2_000, 8


def faults(given: HostileInput, ending: Ending) -> list[str]:
    """Return what is wrong, a text a fault; nothing if all is well."""
    return list(_faults(given, ending))


def message(ending: Ending) -> str:
    """Return the message of an error; nothing if there is none."""
    _, found, text = ending.errors.rpartition("error: ")
    return text.strip() if found else ""


def _faults(given: HostileInput, ending: Ending) -> Iterator[str]:
    said = message(ending)
    if ending.ran:
        yield "foreign code ran"
    if "Traceback (most recent call last)" in ending.errors + ending.output:
        yield "traceback"
        return
    if ending.status == -signal.SIGKILL:
        yield "waited too long"
        return
    if ending.status not in given.statuses:
        yield f"status {ending.status}"
    elif ending.status and not said:
        yield "no message"
    if len(said) > LONGEST_MESSAGE or said.count("\n") >= MOST_LINES:
        yield f"message of {len(said)} characters in {said.count(chr(10)) + 1} lines"
    if given.says and ending.status and given.says not in said:
        yield f"does not say {given.says}"
