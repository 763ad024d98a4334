"""How long commands take before they do any work: ``python -m benchmarks.start_time --before REVISION``."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.report import table, write_report
from benchmarks.common.running_commands import ENVIRONMENT, REPOSITORY

#: Commands, and the processor seconds that they may take; STUDY is the folder of a small study, FOLDER an empty one.
COMMANDS: dict[str, float | None] = {
    "": 1.0,
    "--help": 1.0,
    "serch": 1.0,
    **{f"{verb} --help": 2.5 for verb in ("search", "check", "compare", "polish", "report", "export")},
    **{f"{verb} --help": 2.5 for verb in ("fit", "validate", "test", "predict")},
    "search --search.populaton 3": 1.0,
    "fit --config configs/recommenders/biased_mf.yaml --trainer.max_epoch 3": 1.0,
    "fit --config configs/recommenders/biased_mf.yaml --model.lr 3": 1.0,
    "search --config nothere.yaml": 1.0,
    "fit --model BiasedMF --data InteractionsDataModule --data.root nothere.csv": 1.0,
    "check --formulas pred+label --root FOLDER/check": 2.5,
    "check --formulas (label-pred)**2 --root FOLDER/check": 2.5,
    "export STUDY --to latex --output FOLDER/loss.tex --overwrite": 2.5,
    "search --config configs/search/quickstart.yaml --print_config": None,
}
IMPORTS = ("pass", "import torch", "import torch, pandas", "import pytorch_lightning")
QUICKSTART = "search --config configs/search/quickstart.yaml --root FOLDER/quickstart"
SMALL = "--rounds 1 --candidates 2 --warmup_updates 1 --references [] --trainer.max_epochs 1 --root STUDY"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="revision to compare with")
    parser.add_argument("--repeats", type=int, default=3, help="runs of every command, of which the median is taken")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = report(Path(folder), options.before, options.repeats)
    write_report("start_time", title="Starts of commands", parts=parts)


def report(folder: Path, before: str | None, repeats: int) -> list[str]:
    """Measure all commands, and return the tables."""
    checkouts = [*([checked_out(before, folder / "before")] if before else []), REPOSITORY]
    spent(REPOSITORY, ["train.py", *f"search --config configs/search/quickstart.yaml {SMALL}".split()], folder)
    rows = [_row(command, limit, checkouts, folder, repeats) for command, limit in COMMANDS.items()]
    imports = [[f"`{each}`", f"{median(REPOSITORY, ['-c', each], folder, repeats):.2f}"] for each in IMPORTS]
    whole = spent(REPOSITORY, ["train.py", *QUICKSTART.split()], folder)
    start = float(rows[-1][-2])
    return [
        f"Processor seconds, user and system, of a whole process with one thread; the median of {repeats}.",
        table(["`python train.py`", *(["before"] if before else []), "now", "at most"], rows),
        "The imports that they are made of:",
        table(["`python -c`", "seconds"], imports),
        f"`{QUICKSTART}` takes {whole:.0f} processor seconds, of which {start:.1f} are its start: {start / whole:.0%}.",
    ]


def checked_out(revision: str, folder: Path) -> Path:
    """Return a folder with the files of a revision."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


def _row(command: str, limit: float | None, checkouts: Sequence[Path], folder: Path, repeats: int) -> list[str]:
    arguments = ["train.py", *command.split()]
    times = [f"{median(checkout, arguments, folder, repeats):.2f}" for checkout in checkouts]
    return [f"`{command}`" if command else "", *times, f"{limit:.1f}" if limit else ""]


def median(checkout: Path, arguments: Sequence[str], folder: Path, repeats: int) -> float:
    """Return the median of the processor seconds of several runs."""
    return statistics.median(spent(checkout, arguments, folder) for _ in range(repeats))


def spent(checkout: Path, arguments: Sequence[str], folder: Path) -> float:
    """Return the processor seconds of a Python process in a checkout."""
    names = {"STUDY": str(folder / "study"), "FOLDER": str(folder)}
    for name, path in names.items():
        arguments = [each.replace(name, path) for each in arguments]
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**ENVIRONMENT, "PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
