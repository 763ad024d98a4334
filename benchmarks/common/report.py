"""How benchmarks write down what they measured."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_report(name: str, *, title: str, command: str, parts: Sequence[str]) -> Path:
    """Print a report and write it to ``benchmarks/results/<name>.md``, with the command, the machine and the date."""
    head = [f"# {title}", f"`{command}`", f"{machine()}; {date.today():%Y-%m-%d}"]
    text = "\n\n".join([*head, *parts]) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


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
