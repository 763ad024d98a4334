"""Kills searches at random moments, lets them go on, and keeps a log of what each death cost."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path

import pytorch_lightning as pl

from benchmarks.common.running_commands import RunningCommand, Start, catches, group_ends
from benchmarks.common.study_comparison import differences
from lightning_modules.search.ledger import LEDGER_NAME, read_trials

#: The signals, and the exit status that each of them ends a search with.
STATUSES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
#: In place of the exit status of a process that a signal did not end.
HUNG = 1000
_LONGEST_DYING = 60.0
_LONGEST_STUDY = 600.0


class TrainingLog(pl.Callback):
    """Adds a byte to a file whenever a training begins, in whatever process and whatever becomes of it.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a byte."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, b".")
        os.close(file)


@dataclass(frozen=True)
class Kill:
    """One death of a search.

    Attributes:
        study: Number of the study, from 1.
        number: The signal.
        moment: Seconds after the start of the process.
        inside: Whether the command line was there to answer signals.
        status: Exit status.
        trials: Finished trials on disk.
        lost: Trainings that this process had begun and that are not on disk.
        gone: Whether all its processes were gone soon afterwards.
    """

    study: int
    number: signal.Signals
    moment: float
    inside: bool
    status: int
    trials: int
    lost: int
    gone: bool

    @property
    def in_order(self) -> bool:
        """Whether it left nothing behind and ended with the status that its signal has, or with its work done."""
        by_signal = (STATUSES[self.number],) if self.inside else (-self.number,)
        return self.gone and self.status in (*by_signal, 0)


class Killer:
    """Kills searches with SIGKILL, SIGTERM and SIGINT in turn, at moments drawn from one run's duration.

    Every process goes on with the study of the one before it, until that study is finished; then the next study is
    begun, which is the same in a new folder.

    Args:
        start: Starts a process.
        folder: Where the studies and what they print go.
        arguments: Of the search, without ``--search.root``.
        seed: Of the moments.
    """

    def __init__(self, start: Start, folder: Path, arguments: Sequence[str], seed: int) -> None:
        self.start = start
        self.folder = folder
        self.arguments = arguments
        self.random = random.Random(seed)
        self.output = folder / "output.txt"
        self.whole = folder / "whole"

    def run_whole(self, *, warm: bool = False) -> float:
        """Run a study that nobody kills, twice if caches may be cold at first; return the seconds of the faster."""
        roots = [self.whole] if warm else [self.whole, self.folder / "again"]
        return min(map(self._seconds, roots))

    def kill(self, kills: int, longest: float) -> Iterator[Kill]:
        """Kill so often, no later than ``longest`` seconds after a start; the last study is finished afterwards."""
        deaths = self._deaths(longest)
        yield from islice(deaths, kills)
        self._finish(self.studies[-1])

    @property
    def studies(self) -> list[Path]:
        """The folders of the studies that were killed, in their order."""
        return sorted(self.folder.glob("study*"), key=lambda path: int(path.name.removeprefix("study")))

    def differences(self) -> list[str]:
        """Return where the studies differ from the one that nobody killed."""
        return [f"{root.name}{each}" for root in self.studies for each in differences(self.whole, root)]

    def _seconds(self, root: Path) -> float:
        begin = time.monotonic()
        self._finish(root)
        return time.monotonic() - begin

    def _deaths(self, longest: float) -> Iterator[Kill]:
        numbers = cycle(STATUSES)
        for study in count(1):
            root = self.folder / f"study{study}"
            root.mkdir()
            while (kill := self._run(study, root, longest, numbers)) is not None:
                yield kill

    def _run(self, study: int, root: Path, longest: float, numbers: Iterator[signal.Signals]) -> Kill | None:
        """Go on with a study and kill it; ``None`` if it was finished before."""
        trained, trainings = recorded(root), begun(self._log(root))
        moment = self.random.uniform(0.0, longest)
        process = self._start(root)
        status = process.wait(moment)
        if status is not None:
            _check(status, self.output)
            return None
        number = next(numbers)
        inside = catches(process.pid, signal.SIGTERM)
        os.kill(process.pid, number)
        status = self._death(process)
        gone = group_ends(process.pid, _LONGEST_DYING)
        trials = recorded(root)
        lost = begun(self._log(root)) - trainings - (trials - trained)
        return Kill(study, number, moment, inside, status, trials, lost, gone)

    def _death(self, process: RunningCommand) -> int:
        status = process.wait(_LONGEST_DYING)
        if status is not None:
            return status
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_LONGEST_DYING)
        return HUNG

    def _finish(self, root: Path) -> None:
        process = self._start(root)
        status = process.wait(_LONGEST_STUDY)
        if status is None:
            os.killpg(process.pid, signal.SIGKILL)
        _check(status, self.output)

    def _start(self, root: Path) -> RunningCommand:
        log = f"--trainer.callbacks.path={self._log(root)}"
        callback = ["--trainer.callbacks+=benchmarks.common.killing.TrainingLog", log]
        return self.start([*self.arguments, *callback, f"--search.root={root}"], self.output)

    def _log(self, root: Path) -> Path:
        return self.folder / f"begun-{root.name}"


def recorded(root: Path) -> int:
    """Return how many finished trials a study has on disk."""
    return len(read_trials(root)) if (root / LEDGER_NAME).exists() else 0


def begun(log: Path) -> int:
    """Return how many trainings a :class:`TrainingLog` counted."""
    return log.stat().st_size if log.exists() else 0


def _check(status: int | None, output: Path) -> None:
    if status != 0:
        last = output.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"a search that nobody killed ended with status {status}:\n{last}")
