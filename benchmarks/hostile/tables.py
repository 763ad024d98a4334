"""What became of hostile inputs, in figures."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.common.report import table
from benchmarks.hostile.judging import faults
from benchmarks.hostile.running import MOST_MEMORY, Ending, HostileInput


@dataclass(frozen=True)
class Judged:
    """An input, how it ended, and what is wrong with that."""

    given: HostileInput
    ending: Ending
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, given: HostileInput, ending: Ending) -> "Judged":
        """Judge how an input ended."""
        return cls(given, ending, faults(given, ending))

    @property
    def text(self) -> str:
        """The input and its faults in a line."""
        return f"{self.given.verb[:20]} | {self.given.kind} | {self.given.name} | {'; '.join(self.faults)}"


def summary(judged: Sequence[Judged], everything: int, longest: float) -> str:
    """Return a sentence or two on all inputs.

    Args:
        judged: The inputs that ran.
        everything: How many there are.
        longest: Seconds after which an input was killed.
    """

    def at_fault(word: str) -> int:
        return sum(any(word in each for each in one.faults) for one in judged)

    machine = f"with at most {MOST_MEMORY / 2**30:.0f} GiB of address space"
    return (
        f"{len(judged)} inputs of {everything}. Tracebacks: **{at_fault('traceback')}**; inputs that did not end "
        f"within {longest:.0f} s: **{at_fault('waited')}**; inputs that ran foreign code: **{at_fault('foreign')}**; "
        f"at fault in any way: **{at_fault('')}**, which also is another exit status than is right, no message, and "
        "one that is too long or does not name the option. Every input runs in a folder and a process of its own, "
        f"forked after the imports, {machine}. Status 0: the input can be taken. Seconds of the processor are those "
        "of the input alone; the others depend on what else the machine does."
    )


def by_kind(judged: Sequence[Judged]) -> str:
    """Return a table with a line for every verb and kind."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.given.verb[:20], one.given.kind), []).append(one)
    header = ["verb", "kind", "inputs", "exit statuses", "longest, s", "most of the processor, s", "at fault"]
    return table(header, [[*names, *_figures(group)] for names, group in sorted(groups.items())])


def _figures(group: Sequence[Judged]) -> Iterable[str]:
    yield str(len(group))
    statuses = Counter(one.ending.status for one in group)
    yield ", ".join(f"{status} ({count})" for status, count in sorted(statuses.items()))
    yield f"{max(one.ending.seconds for one in group):.1f}"
    yield f"{max(one.ending.processor for one in group):.1f}"
    yield str(sum(bool(one.faults) for one in group))
