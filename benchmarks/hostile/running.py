"""Runs command lines in forked processes with limits on time and memory, and keeps what they say."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightning_modules.cli.main import main

#: Seconds after which a command line is killed.
LONGEST = 30.0
#: Address space of a command line in bytes, so that a size of 10^15 does not take the machine with it.
MOST_MEMORY = 8 * 2**30
_MOST_ON_DISK = 2**30
_PAUSE = 0.01


@dataclass(frozen=True)
class HostileInput:
    """One command line, with what lies in the folder that it is run in.

    Attributes:
        kind: What is hostile of it.
        name: What tells it from the others of its verb and kind.
        arguments: The verb and its options; ``{base}`` stands for the folder of what is there for all.
        prepare: Writes into the folder that the command line is run in.
        statuses: The exit statuses that are right.
        says: What the message must hold.
        silent: A file that must not be there afterwards, since only foreign code would have written it.
    """

    kind: str
    name: str
    arguments: Sequence[str]
    prepare: Sequence[Callable[[Path], object]] = ()
    statuses: Sequence[int] = (1, 2)
    says: str = ""
    silent: str = "ran"

    @property
    def verb(self) -> str:
        """The verb."""
        return next((each for each in self.arguments if not each.startswith("-")), "")


@dataclass
class Ending:
    """How a command line ended.

    Attributes:
        status: Exit status; the negative number of the signal that ended it.
        seconds: How long it took.
        processor: Seconds of the processor that it took, which other work on the machine does not change.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
        ran: Whether foreign code ran.
    """

    status: int
    seconds: float
    processor: float
    output: str
    errors: str
    ran: bool = field(default=False)


@dataclass
class _Started:
    place: int
    folder: Path
    begin: float


def run_all(
    inputs: Sequence[HostileInput], base: Path, folder: Path, *, workers: int, longest: float = LONGEST
) -> Iterator[tuple[int, Ending]]:
    """Run command lines, each in a folder and a process of its own, and yield how they ended as they end.

    Args:
        inputs: The command lines.
        base: What ``{base}`` stands for.
        folder: Where the folders are made.
        workers: How many run at a time.
        longest: Seconds after which one is killed.
    """
    waiting = list(reversed(range(len(inputs))))
    running: dict[int, _Started] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            place = waiting.pop()
            own = folder / f"{place:04d}"
            own.mkdir(parents=True)
            running[_start(inputs[place], base, own)] = _Started(place, own, time.monotonic())
        for process, started in list(running.items()):
            ended, status, used = os.wait4(process, os.WNOHANG)
            seconds = time.monotonic() - started.begin
            if not ended and seconds > longest:
                os.killpg(process, signal.SIGKILL)
                ended, status, used = os.wait4(process, 0)
            if ended:
                del running[process]
                yield (
                    started.place,
                    _ending(started.folder, inputs[started.place], status, seconds, used.ru_utime + used.ru_stime),
                )
        time.sleep(_PAUSE)


def _start(given: HostileInput, base: Path, folder: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        _be_command(given, base, folder)
    return process


def _be_command(given: HostileInput, base: Path, folder: Path) -> None:
    """Be the command line, in the process that was forked for it; never returns."""
    status = 1
    try:
        os.setsid()
        _redirect(folder)
        os.chdir(folder)
        for prepare in given.prepare:
            prepare(folder)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_ON_DISK, _MOST_ON_DISK))
        status = main([each.replace("{base}", str(base)) for each in given.arguments])
    except BaseException:  # what an interpreter of its own would show
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(folder: Path) -> None:
    for number, name in ((1, ".output"), (2, ".errors")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # What pytest, or whoever else captured them, has in their place.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _ending(folder: Path, given: HostileInput, status: int, seconds: float, processor: float) -> Ending:
    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8", errors="replace")

    code = os.waitstatus_to_exitcode(status)
    return Ending(code, seconds, processor, read(".output"), read(".errors"), ran=(folder / given.silent).exists())
