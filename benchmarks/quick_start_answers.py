"""Does the answer of a search stand on the test rows? The whole quick start with several seeds, each answer compared.

Every search is the README's command with another seed. Its answer, if it has one, is compared with tuned BCE by
``compare``, both trained with eight seeds. A seed whose row is in the folder's ``answers.csv`` is not repeated, and
what a seed has begun is continued:

    python -m benchmarks.quick_start_answers
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import HEADER, cells, compared, finished_rows, searched


def main(searches: int = 5, training_seeds: int = 8, root: str = "runs/quick_start_answers") -> None:
    """Run the quick starts and write the report.

    Args:
        searches: Number of searches, with the seeds 1, 2 and so on.
        training_seeds: Trainings of every answer and of BCE in the comparison.
        root: Folder of the searches and comparisons.
    """
    folder = Path(root).resolve()

    def measure(key: Mapping[str, Any]) -> dict[str, Any]:
        study, seed = folder / f"search_{key['seed']}", str(key["seed"])
        found = searched(study, ["--config", "configs/search/quickstart.yaml", "--seed_everything", seed])
        if found["formula"]:
            settings = ["--config", "configs/compare/quickstart.yaml", "--seeds", str(training_seeds)]
            found |= compared(study, folder / f"compare_{seed}", settings)
        return found

    rows = finished_rows(folder / "answers.csv", [{"seed": seed} for seed in range(1, searches + 1)], measure)
    worse = sum(1 for row in rows if row.get("difference", 0) < 0 and row.get("p_value", 1) < 0.05)
    write_report(
        "quick_start_answers",
        title="The answers of the quick start, compared with tuned BCE",
        parts=[
            f"`search --config configs/search/quickstart.yaml --seed_everything SEED`, then `compare --config "
            f"configs/compare/quickstart.yaml --formulas RUN#answer --losses [] --seeds {training_seeds}`.",
            table(["seed", *HEADER], [[str(row["seed"]), *cells(row)] for row in rows]),
            f"{worse} of {len(rows)} answers are significantly worse than tuned BCE on the test rows (p < .05).",
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
