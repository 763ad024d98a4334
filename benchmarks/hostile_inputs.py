"""Does any input end in a traceback, or in none at all?

Runs every verb with inputs that cannot be meant: options of the wrong type and of impossible sizes, files that are
devices, pipes, bombs or halves, studies and checkpoints whose parts are of another kind. Every input runs in a process
and a folder of its own, with a limit on time, memory and disk.

    python -m benchmarks.hostile_inputs
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from jsonargparse import auto_cli

from benchmarks.common.report import write_report
from benchmarks.hostile import checkpoints, files, options, studies, texts
from benchmarks.hostile.base import build
from benchmarks.hostile.judging import message
from benchmarks.hostile.running import LONGEST, HostileInput, run_all
from benchmarks.hostile.tables import Judged, by_kind, summary


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


def judged(inputs: Sequence[HostileInput], workers: int, longest: float = LONGEST) -> Iterator[Judged]:
    """Run inputs and yield what became of them, as they end; see :func:`run_all`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = build_base(folder / "base")
        for place, ending in run_all(inputs, base, folder / "run", workers=workers, longest=longest):
            yield Judged.of(inputs[place], ending)


def main(every: int = 1, longest: float = LONGEST, workers: int = 2, only: str = "", show: bool = False) -> None:
    """Run the inputs and write the table of results.

    Args:
        every: Run one in so many.
        longest: Seconds after which an input is killed.
        workers: Processes at a time.
        only: Run those alone whose verb, kind or name holds this text, and write no table.
        show: Print what every input says.
    """
    everything = all_inputs()
    inputs = [each for each in everything if only in f"{each.verb} {each.kind} {each.name}"][::every]
    ran = []
    for one in judged(inputs, workers, longest):
        ran.append(one)
        if one.faults or show:
            print(f"{one.ending.status} {one.text}: {message(one.ending)[:500]!a}", flush=True)
        if "traceback" in one.faults:
            print(ascii(one.ending.errors[-2000:]).replace("\\n", "\n"), flush=True)
    print(summary(ran, len(everything), longest))
    if only:
        return
    wrong = "\n".join(f"- {one.text}" for one in ran if one.faults)
    write_report(
        "hostile_inputs",
        title="Inputs that cannot be meant",
        parts=[summary(ran, len(everything), longest), by_kind(ran), *([wrong] if wrong else [])],
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
