"""Writes what a benchmark measured."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

_ROOT = Path(__file__).resolve().parents[2]
RESULTS = _ROOT / "benchmarks" / "results"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_report(name: str, *, title: str, parts: Sequence[str]) -> Path:
    """Print a report and write it to ``benchmarks/results/<name>.md``, with the command, the machine and the date."""
    head = [f"# {title}", f"`{given_command()}`", f"{machine()}; {date.today():%Y-%m-%d}"]
    text = "\n\n".join([*head, *parts]) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def given_command() -> str:
    """Return the command that runs this process, as it was given."""
    module = Path(sys.argv[0]).resolve().relative_to(_ROOT).with_suffix("")
    return shlex.join(["python", "-m", ".".join(module.parts), *sys.argv[1:]])


def machine() -> str:
    """Return the cores, the processor, how busy it was, and the versions that figures depend on."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    used = f"{torch.get_num_threads()} thread used, load {os.getloadavg()[0]:.1f} when done"
    return f"{os.cpu_count()} cores, {_processor()}, {used}; {versions}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
