"""Does a search find a better loss where there is one? Searches on data with wrong labels, each answer compared.

A fifth of the labels are the other one, in training, validation and test. BCE is the likelihood of such labels only for
a model that knows of them; a factorisation does not, so that BCE drives the preferences of users towards wrong labels,
and bounded losses less so (Ghosh, Kumar and Sastry, AAAI 2017, https://arxiv.org/abs/1712.09482). Every search has
other data, and its answer is compared with tuned BCE by ``compare``. What the folder's ``answers.csv`` holds is not
repeated:

    python -m benchmarks.positive_control
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import HEADER, cells, compared, finished_rows, searched
from datamodules import SyntheticInteractions

#: The data, but for their seed.
DATA: Mapping[str, Any] = {
    "num_users": 1000,
    "num_items": 600,
    "num_interactions": 80_000,
    "scale": 5.0,
    "mislabelled": 0.2,
}


def main(
    data_seeds: int = 5,
    training_seeds: int = 8,
    strategies: Sequence[str] = ("PPO", "RandomSearch"),
    root: str = "runs/positive_control",
) -> None:
    """Run the searches and write the report.

    Args:
        data_seeds: Number of data sets, with the seeds 1, 2 and so on; searches have the same seeds.
        training_seeds: Trainings of every answer and of BCE in the comparison.
        strategies: Search strategies.
        root: Folder of the searches and comparisons.
    """
    folder = Path(root).resolve()

    def measure(key: Mapping[str, Any]) -> dict[str, Any]:
        name, data = f"{key['strategy']}_{key['seed']}", data_arguments(key["seed"])
        settings = ["--seed_everything", str(key["seed"]), "--search.strategy", key["strategy"], *data]
        found = searched(folder / name, ["--config", "configs/search/quickstart.yaml", *settings])
        if found["formula"]:
            compare = ["--config", "configs/compare/quickstart.yaml", "--seeds", str(training_seeds), *data]
            found |= compared(folder / name, folder / f"compare_{name}", compare)
        return found

    keys = [{"strategy": name, "seed": seed} for seed in range(1, data_seeds + 1) for name in strategies]
    rows = finished_rows(folder / "answers.csv", keys, measure)
    write_report(
        "positive_control",
        title="Searches where a bounded loss is better than BCE",
        parts=[introduction(data_seeds), table(["strategy", "data", *HEADER], [row_of(row) for row in rows])],
    )


def data_arguments(seed: int) -> list[str]:
    """Return the options of the data with a seed."""
    return [text for name, value in {**DATA, "data_seed": seed}.items() for text in (f"--data.{name}", str(value))]


def introduction(data_seeds: int) -> str:
    """Return what the data are and what is attainable on them."""
    data = (SyntheticInteractions(**DATA, data_seed=seed) for seed in range(1, data_seeds + 1))
    attainable = ", ".join(f"{each.best_attainable_auc:.4f}" for each in data)
    return (
        f"{DATA['num_interactions']:,} synthetic interactions of {DATA['num_users']:,} users and {DATA['num_items']} "
        f"items, preferences of scale {DATA['scale']:g}, {DATA['mislabelled']:.0%} of the labels wrong in every split. "
        f"The test AUC of the true probabilities is {attainable}. The settings are those of "
        "configs/search/quickstart.yaml and configs/compare/quickstart.yaml."
    )


def row_of(row: Mapping[str, Any]) -> list[str]:
    """Return a row of the table."""
    return [row["strategy"], str(row["seed"]), *cells(row)]


if __name__ == "__main__":
    auto_cli(main)
