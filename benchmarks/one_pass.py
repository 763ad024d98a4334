"""Is there a better loss than BCE for one pass over KuaiRand-Pure? Searches with several seeds, and one comparison.

For every model the answers of PPO and of random search, each with as many candidates and finalists, are compared on the
later days with BCE, focal loss and label smoothing, all tuned alike. What is done is not repeated:

    python -m benchmarks.one_pass --data_root data/kuairand-pure
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import finished_rows, run, searched
from lightning_modules.search.study import Study

STRATEGIES = ("PPO", "RandomSearch")
HEADER = ["strategy", "seed", "candidates", "answer", "operators", "validation AUC over tuned BCE (se)", "seconds each"]


def main(
    data_root: str = "data/kuairand-pure",
    models: Sequence[str] = ("mmoe", "esmm"),
    searches: int = 3,
    rounds: int = 10,
    candidates: int = 10,
    finalists: int = 5,
    training_seeds: int = 8,
    trials: int = 20,
    root: str = "runs/one_pass",
    options: Sequence[str] = (),
    search_options: Sequence[str] = (),
) -> None:
    """Run the searches and comparisons and write a report for each model.

    Args:
        data_root: Folder with KuaiRand-Pure.
        models: Names of the files configs/search/kuairand_NAME.yaml and configs/compare/kuairand_NAME.yaml.
        searches: Searches of each strategy, with the seeds 1, 2 and so on.
        rounds: Rounds of a search.
        candidates: Formulas to train a round.
        finalists: Formulas that each search trains at its end.
        training_seeds: Trainings of every loss in a comparison.
        trials: Settings that a comparison tries for every loss.
        root: Folder of the searches and comparisons.
        options: Further options of all commands, such as --model.num_experts=4.
        search_options: Further options of the searches, such as --search.executor=process.
    """
    data = [f"--data.root={Path(data_root).resolve()}", *options]
    size = [f"--search.rounds={rounds}", f"--search.candidates={candidates}", f"--search.finalists={finalists}"]
    for model in models:
        folder = Path(root).resolve() / model
        rows = _searched(model, folder, searches, [*size, *data, *search_options])
        comparison = folder / "compare"
        studies = (_studies(folder, strategy, searches) for strategy in STRATEGIES)
        run(
            [
                *("compare", f"--config=configs/compare/kuairand_{model}.yaml", f"--compare.root={comparison}"),
                *(
                    text
                    for name, own in zip(("--study", "--random_study"), studies, strict=True)
                    for text in (name, *own)
                ),
                *(f"--compare.seeds={training_seeds}", f"--compare.trials={trials}", *data),
            ]
        )
        write_report(
            f"one_pass_{model}",
            title=f"Losses of {model} for one pass over KuaiRand-Pure",
            parts=[*_parts(rows), *_of_comparison(comparison / "summary.md")],
        )


def _searched(model: str, folder: Path, searches: int, settings: Sequence[str]) -> list[dict[str, Any]]:
    """Search with every strategy and seed, and return what each search found."""

    def measure(key: Mapping[str, Any]) -> dict[str, Any]:
        root = folder / f"{key['strategy']}_{key['seed']}"
        own = [f"--seed_everything={key['seed']}", f"--search.strategy={key['strategy']}"]
        found = searched(root, [f"--config=configs/search/kuairand_{model}.yaml", *settings, *own])
        return {**found, "candidates": Study.read(root).num_candidates}

    keys = [{"strategy": name, "seed": seed} for seed in range(1, searches + 1) for name in STRATEGIES]
    return finished_rows(folder / "answers.csv", keys, measure)


def _studies(folder: Path, strategy: str, searches: int) -> list[str]:
    return [str(folder / f"{strategy}_{seed}") for seed in range(1, searches + 1)]


def _parts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    introduction = (
        "Trained to 2 May 2022, for one pass of Adagrad; rewards are the mean AUC of both tasks on a tenth of these "
        "rows, with the best of a few learning rates. The finalists are tuned, and validated on 3 and 4 May; the test "
        "rows are those of 5 to 8 May. Seconds are of one processor, those of the whole search over its trained "
        "candidates, tuning, references and finalists included."
    )
    return [introduction, "## Searches", table(HEADER, [_row(row) for row in rows])]


def _row(row: Mapping[str, Any]) -> list[str]:
    each = f"{row['seconds'] / row['candidates']:.1f}"
    if not isinstance(row["formula"], str) or not row["formula"]:
        found = ["nothing that beats BCE", "-", f"best finalist {row['validated']:+.4f}"]
    else:
        error = f"{row['validated']:+.4f} ({row['validated_se']:.4f})"
        found = [f"`{row['formula']}`", str(int(row["operators"])), error]
    return [row["strategy"], str(row["seed"]), str(row["candidates"]), *found, each]


def _of_comparison(summary: Path) -> list[str]:
    """Return a comparison's page as parts of another one."""
    _, body = summary.read_text(encoding="utf-8").split("\n", maxsplit=1)
    return ["## Comparison on the test rows", body.strip().replace("\n## ", "\n### ")]


if __name__ == "__main__":
    auto_cli(main)
