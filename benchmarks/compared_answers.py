"""Do the answers of searches stand on the test rows? Searches with several seeds, each answer compared with tuned BCE.

Every search is a shipped configuration with another seed. Its answer, if it has one, is compared with tuned BCE by
``compare``, both trained with eight seeds. A seed whose row is in the folder's ``answers.csv`` is not repeated, and
what a seed has begun is continued:

    python -m benchmarks.compared_answers
    python -m benchmarks.compared_answers --name ml100k_biased_mf --searches 3 --options "[--data.root, DATA]"
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import HEADER, answer_compared, cells, finished_rows


def main(
    name: str = "quickstart",
    searches: int = 5,
    training_seeds: int = 8,
    options: Sequence[str] = (),
    search_options: Sequence[str] = (),
    root: str = "runs/compared_answers",
) -> None:
    """Run the searches and write the report.

    Args:
        name: The configuration's name in configs/search and configs/compare.
        searches: Number of searches, with the seeds 1, 2 and so on.
        training_seeds: Trainings of every answer and of BCE in the comparison.
        options: Options of searches and comparisons, such as the data's root.
        search_options: Options of the searches alone.
        root: Folder of the searches and comparisons.
    """
    folder = Path(root).resolve() / name

    def measure(key: Mapping[str, Any]) -> dict[str, Any]:
        study, seed = folder / f"search_{key['seed']}", str(key["seed"])
        search = ["--config", f"configs/search/{name}.yaml", "--seed_everything", seed, *options, *search_options]
        compare = ["--config", f"configs/compare/{name}.yaml", "--seeds", str(training_seeds), *options]
        return answer_compared(study, folder / f"compare_{seed}", search, compare)

    rows = finished_rows(folder / "answers.csv", [{"seed": seed} for seed in range(1, searches + 1)], measure)
    write_report(
        f"compared_answers_{name}",
        title="The answers of searches, compared with tuned BCE on the test rows",
        parts=[
            f"`search --config configs/search/{name}.yaml --seed_everything SEED`"
            + (f" with {' '.join(search_options)}" if search_options else "")
            + f", then `compare --config configs/compare/{name}.yaml --formulas RUN#answer --losses [] --seeds "
            f"{training_seeds}`.",
            table(["seed", *HEADER], [[str(row["seed"]), *cells(row)] for row in rows]),
            f"{_worse(rows)} of {len(rows)} answers are significantly worse than tuned BCE on the test rows (p < .05).",
        ],
    )


def _worse(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(1 for row in rows if row.get("difference", 0) < 0 and row.get("p_value", 1) < 0.05)


if __name__ == "__main__":
    auto_cli(main)
