"""Searches, and comparisons of their answers with the tuned baseline, as commands; what is done is not repeated."""

import math
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.running_commands import ENVIRONMENT, REPOSITORY
from lightning_modules.search.study import Study
from lightning_modules.utilities.files import replace_file

#: Headings of :func:`cells`.
HEADER = [
    "answer",
    "operators",
    "validation AUC over tuned BCE (se)",
    "test AUC over tuned BCE",
    "95 % interval",
    "p",
    "processor seconds of the search",
]


def run(arguments: Sequence[str]) -> float:
    """Run a command in a new process and return its processor time in seconds.

    Raises:
        CalledProcessError: If it ends with an error.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "train.py", *arguments], cwd=REPOSITORY, env=ENVIRONMENT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def search(root: Path, arguments: Sequence[str]) -> float:
    """Run a search and return its processor time in seconds; NaN of one that had begun before."""
    has_begun = root.exists()
    seconds = run(["search", *arguments, "--search.root", str(root)])
    return math.nan if has_begun else seconds


def searched(root: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a search and return what it says of its answer; no formula if it has none."""
    seconds = search(root, arguments)
    candidates = Study.read(root).candidates
    found = candidates[candidates["is_answer"]].head(1).to_dict("records")
    best = found[0] if found else {"formula": "", "operators": None, "validated": candidates["validated"].max()}
    kept = {name: best.get(name) for name in ("formula", "operators", "validated", "validated_se")}
    return {"seconds": seconds, **kept}


def compared(study: Path, root: Path, arguments: Sequence[str], taken: str = "answer") -> dict[str, Any]:
    """Compare a formula of a study with BCE on the test rows; return the difference, its interval and its p value.

    Args:
        study: The study.
        root: Folder of the comparison.
        arguments: Its other options.
        taken: The formula, as after the ``#`` of a loss's name.
    """
    run(["compare", *arguments, "--compare.root", str(root), "--formulas", f"{study}#{taken}", "--losses", "[]"])
    summary = pd.read_csv(root / "summary.csv")
    row = summary[summary["group"] == "given"].iloc[0]
    return {name: row[name] for name in ("difference", "low", "high", "p_value")}


def answer_compared(study: Path, root: Path, search: Sequence[str], compare: Sequence[str]) -> dict[str, Any]:
    """Run a search and, if it has an answer, its comparison; return what both say of it."""
    found = searched(study, search)
    return found | compared(study, root, compare) if found["formula"] else found


def finished_rows(
    path: Path, keys: Sequence[Mapping[str, Any]], measure: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for every key, of which those in the file are not measured again.

    Args:
        path: The CSV file, which is written after every row.
        keys: Names and values that tell rows apart.
        measure: Returns the other values of a key's row.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = pd.read_csv(path).to_dict("records") if path.is_file() else []
    for key in keys:
        if not any(key.items() <= row.items() for row in rows):
            rows.append({**key, **measure(key)})
            frame = pd.DataFrame(rows)
            replace_file(path, lambda temporary, frame=frame: frame.to_csv(temporary, index=False))  # type: ignore[misc]
    written = pd.read_csv(path).to_dict("records")
    return [row for row in written if any(key.items() <= row.items() for key in keys)]


def shown_seconds(seconds: float) -> str:
    """Return the processor seconds of a search, which are unknown of one that was interrupted."""
    return "-" if math.isnan(seconds) else f"{seconds:.0f}"


def cells(found: Mapping[str, Any]) -> list[str]:
    """Return a row's cells under :data:`HEADER`."""
    seconds = shown_seconds(found["seconds"])
    if not isinstance(found["formula"], str) or not found["formula"]:
        nothing = f"nothing that beats BCE; best finalist {found['validated']:+.4f}"
        return [nothing, *["-"] * 5, seconds]
    return [
        f"`{found['formula']}`",
        str(int(found["operators"])),
        f"{found['validated']:+.4f} ({found['validated_se']:.4f})",
        f"{found['difference']:+.4f}",
        f"{found['low']:+.4f} to {found['high']:+.4f}",
        f"{found['p_value']:.3f}",
        seconds,
    ]
