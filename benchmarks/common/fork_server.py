"""Starts commands that have imported everything already: a server imports it once and forks for every command."""

import faulthandler
import gc
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import torch

import lightning_modules.cli.lossmith_cli  # noqa: F401 (imported once, for all commands)
from benchmarks.common.running_commands import ENVIRONMENT, REPOSITORY, RunningCommand
from lightning_modules.cli.main import main

_STANDARD_ERROR = 2


class ForkServer:
    """Starts one command at a time, each in a process forked from the server's.

    Args:
        module: What the server runs, which ends in :func:`serve`.
    """

    def __init__(self, module: str = "benchmarks.common.fork_server") -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=REPOSITORY,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def __call__(self, arguments: Sequence[str], output: Path, *, file_size: int | None = None) -> RunningCommand:
        """Start a command.

        Args:
            arguments: Of the command line.
            output: What it prints goes to the end of this file.
            file_size: No file may grow beyond so many bytes, as on a full disk.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {"arguments": list(arguments), "output": str(output), "file_size": file_size}
        self._server.stdin.write(f"{json.dumps(order)}\n".encode())
        return _ForkedCommand(self._server.stdout, int(self._server.stdout.readline()))

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


class _ForkedCommand:
    def __init__(self, answers: IO[bytes], pid: int) -> None:
        self.pid = pid
        self._answers = answers
        self._status: int | None = None

    def wait(self, seconds: float) -> int | None:
        if self._status is None:
            ready, _, _ = select.select([self._answers], [], [], seconds)
            if ready:
                self._status = int(self._answers.readline())
        return self._status


def serve() -> None:
    """Fork for every order on standard input; answer with the process id and, when it has ended, its exit status."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _obey(json.loads(line))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _obey(order: dict[str, Any]) -> None:
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _redirect(order["output"])
        # Whoever finds it hanging can ask where.
        faulthandler.register(signal.SIGUSR1, file=_STANDARD_ERROR)
        if order["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
        status = main(order["arguments"])
    except KeyboardInterrupt:
        # It came before the command line was there to turn it into a status; Python then ends like this.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os._exit(status)


def _redirect(output: str) -> None:
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(nothing, 0)
    for stream in (1, 2):
        os.dup2(file, stream)


if __name__ == "__main__":
    serve()
