"""Does the answer of a search stand on the test rows? The whole quick start with several seeds, each answer compared.

Every search is the README's command with another seed. Its answer, if it has one, is compared with tuned BCE by
``compare``, both trained with eight seeds. A seed whose row is in the folder's ``answers.csv`` is not repeated, and
what a seed has begun is continued:

    python -m benchmarks.quick_start_answers
"""

import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.running_commands import ENVIRONMENT, REPOSITORY
from lightning_modules.search.study import Study
from lightning_modules.utilities.files import replace_file

_HEADER = [
    "seed",
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


def searched(root: Path, seed: int) -> dict[str, Any]:
    """Run the quick start with a seed and return what it says of its answer; no formula if it has none."""
    config = "configs/search/quickstart.yaml"
    seconds = run(["search", "--config", config, "--seed_everything", str(seed), "--search.root", str(root)])
    candidates = Study.read(root).candidates
    found = candidates[candidates["is_answer"]].head(1).to_dict("records")
    best = found[0] if found else {"formula": "", "operators": None, "validated": candidates["validated"].max()}
    kept = {name: best.get(name) for name in ("formula", "operators", "validated", "validated_se")}
    return {"seed": seed, "seconds": seconds, **kept}


def compared(answer: str, root: Path, training_seeds: int) -> dict[str, Any]:
    """Compare a formula with BCE on the test rows and return the difference, its interval and its p value."""
    arguments = ["compare", "--config", "configs/compare/quickstart.yaml", "--compare.root", str(root)]
    run([*arguments, "--formulas", answer, "--losses", "[]", "--seeds", str(training_seeds)])
    summary = pd.read_csv(root / "summary.csv")
    row = summary[summary["group"] == "given"].iloc[0]
    return {name: row[name] for name in ("difference", "low", "high", "p_value")}


def row_of(found: Any) -> list[str]:
    """Return a seed's row of the table."""
    if not isinstance(found["formula"], str) or not found["formula"]:
        nothing = f"nothing that beats BCE; best finalist {found['validated']:+.4f}"
        return [str(found["seed"]), nothing, *["-"] * 5, f"{found['seconds']:.0f}"]
    return [
        str(found["seed"]),
        f"`{found['formula']}`",
        str(int(found["operators"])),
        f"{found['validated']:+.4f} ({found['validated_se']:.4f})",
        f"{found['difference']:+.4f}",
        f"{found['low']:+.4f} to {found['high']:+.4f}",
        f"{found['p_value']:.3f}",
        f"{found['seconds']:.0f}",
    ]


def main(searches: int = 5, training_seeds: int = 8, root: str = "runs/quick_start_answers") -> None:
    """Run the quick starts and write the report.

    Args:
        searches: Number of searches, with the seeds 1, 2 and so on.
        training_seeds: Trainings of every answer and of BCE in the comparison.
        root: Folder of the searches and comparisons.
    """
    folder = Path(root).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "answers.csv"
    rows = pd.read_csv(path).to_dict("records") if path.is_file() else []
    for seed in range(1, searches + 1):
        if seed in {row["seed"] for row in rows}:
            continue
        found = searched(folder / f"search_{seed}", seed)
        if found["formula"]:
            found |= compared(f"{folder / f'search_{seed}'}#answer", folder / f"compare_{seed}", training_seeds)
        rows.append(found)
        frame = pd.DataFrame(rows)
        replace_file(path, lambda temporary, frame=frame: frame.to_csv(temporary, index=False))  # type: ignore[misc]
    asked = [row for row in pd.read_csv(path).to_dict("records") if row["seed"] <= searches]
    worse = sum(1 for row in asked if row.get("difference", 0) < 0 and row.get("p_value", 1) < 0.05)
    write_report(
        "quick_start_answers",
        title="The answers of the quick start, compared with tuned BCE",
        parts=[
            f"`search --config configs/search/quickstart.yaml --seed_everything SEED`, then `compare --config "
            f"configs/compare/quickstart.yaml --formulas RUN#answer --losses [] --seeds {training_seeds}`.",
            table(_HEADER, [row_of(row) for row in asked]),
            f"{worse} of {len(asked)} answers are significantly worse than tuned BCE on the test rows (p < .05).",
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
