"""Does any input end in a traceback, or in none at all?

Runs every verb with inputs that cannot be meant: options of the wrong type and of impossible sizes, files that are
devices, pipes, bombs or halves, studies and checkpoints whose parts are of another kind. Every input runs in a process
and a folder of its own, with a limit on time, memory and disk.

    python -m benchmarks.hostile_inputs
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import auto_cli

from benchmarks.hostile import checkpoints, files, options, studies, texts
from benchmarks.hostile.base import build
from benchmarks.hostile.judging import faults, message
from benchmarks.hostile.running import LONGEST, MOST_MEMORY, Ending, HostileInput, run_all
from benchmarks.report import table, write_report

Ran = list[tuple[HostileInput, Ending, list[str]]]


def all_inputs() -> list[HostileInput]:
    """Return every input."""
    return [each for part in (options, texts, files, studies, checkpoints) for each in part.inputs()]


def build_base(folder: Path) -> Path:
    """Write what the inputs start from, and return where.

    Raises:
        RuntimeError: If a command fails that should not.
    """

    def run(arguments: Sequence[str], where: Path) -> None:
        given = HostileInput("base", "", arguments, (lambda _: os.chdir(where),), statuses=(0,))
        ((_, ending),) = run_all([given], folder, folder / f"build{time.monotonic_ns()}", workers=1, longest=120.0)
        if ending.status:
            raise RuntimeError(f"{' '.join(arguments)}: {ending.errors}")

    build(folder, run)
    return folder


def run_inputs(inputs: Sequence[HostileInput], folder: Path, workers: int = 2, longest: float = LONGEST) -> Ran:
    """Run inputs in a folder, and return how each ended and what is wrong with that."""
    base = build_base(folder / "base")
    ran: dict[int, Ending] = {}
    for place, ending in run_all(inputs, base, folder / "run", workers=workers, longest=longest):
        ran[place] = ending
        wrong = faults(inputs[place], ending)
        if wrong:
            print(
                f"{inputs[place].verb} | {inputs[place].kind} | {inputs[place].name} | {'; '.join(wrong)}", flush=True
            )
    return [(inputs[place], ran[place], faults(inputs[place], ran[place])) for place in sorted(ran)]


def main(
    only: str = "", workers: int = 2, write: bool = True, show: bool = False, every: int = 1, longest: float = LONGEST
) -> None:
    """Run the inputs.

    Args:
        only: Run those alone whose verb, kind or name holds this text.
        workers: Processes at a time.
        write: Write the table of results.
        show: Print what every input says.
        every: Run one in so many.
        longest: Seconds after which an input is killed.
    """
    inputs = [each for each in all_inputs() if only in f"{each.verb} {each.kind} {each.name}"][::every]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        ran = run_inputs(inputs, Path(folder), workers, longest)
    if show:
        for given, ending, _ in ran:
            if "traceback" in faults(given, ending):
                print(ending.errors[-3000:])
            print(
                f"{ending.status} {ending.seconds:.1f} s {given.verb} | {given.kind} | {given.name}: {message(ending)}"
            )
    print(f"{len(ran)} inputs in {time.monotonic() - begin:.0f} s, {sum(bool(wrong) for *_, wrong in ran)} at fault")
    if write:
        _report(ran)


def _report(ran: Ran) -> None:
    kinds = Counter((given.verb, given.kind) for given, *_ in ran)
    rows = []
    for (verb, kind), count in sorted(kinds.items()):
        these = [each for each in ran if (each[0].verb, each[0].kind) == (verb, kind)]
        statuses = Counter(ending.status for _, ending, _ in these)
        longest = max(ending.seconds for _, ending, _ in these)
        wrong = sum(bool(faults) for *_, faults in these)
        said = ", ".join(f"{status} ({number})" for status, number in sorted(statuses.items()))
        rows.append([verb[:20], kind, str(count), said, f"{longest:.1f}", str(wrong)])
    tracebacks = sum("traceback" in wrong for *_, wrong in ran)
    waits = sum(any("waited" in each for each in wrong) for *_, wrong in ran)
    code = sum("foreign code ran" in wrong for *_, wrong in ran)
    summary = (
        f"{len(ran)} inputs. Tracebacks: **{tracebacks}**; waits over {LONGEST:.0f} s: **{waits}**; inputs that ran "
        f"foreign code: **{code}**; at fault in any way (another exit status than is right, no message, or one that is "
        f"too long or does not name the option): **{sum(bool(wrong) for *_, wrong in ran)}**. Every input runs in a "
        f"process forked after the imports, with at most {MOST_MEMORY / 2**30:.0f} GiB of address space. Status 0: the "
        "input could be taken as it is."
    )
    wrong = [[given.verb, given.kind, given.name[:80], "; ".join(faults)] for given, _, faults in ran if faults]
    parts = [summary, table(["verb", "kind", "inputs", "exit statuses", "longest, s", "at fault"], rows)]
    if wrong:
        parts.append(table(["verb", "kind", "input", "fault"], wrong))
    write_report(
        "hostile_inputs",
        title="Inputs that cannot be meant",
        command="python -m benchmarks.hostile_inputs",
        parts=parts,
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
