"""Does a search find a better loss where there is one? Searches on data with wrong labels, each answer compared.

A fifth of the labels are the other one, in training, validation and test, and the true preferences nearly decide them.
Bounded losses tolerate such labels (Ghosh, Kumar and Sastry, AAAI 2017, https://arxiv.org/abs/1712.09482). BCE is the
likelihood of them only for a model that knows of them; a factorisation spends its few dimensions on how far a
preference is from the boundary. There are many rows for every parameter, so that weight decay does not take the place
of the loss. Every search has other data, and its answer is compared with tuned BCE by ``compare``. What the folder's
``answers.csv`` holds is not repeated:

    python -m benchmarks.positive_control
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import HEADER, answer_compared, cells, finished_rows
from benchmarks.common.strategy_differences import strategy_differences
from datamodules import SyntheticInteractions

#: The data, but for their seed.
DATA: Mapping[str, Any] = {
    "num_users": 500,
    "num_items": 300,
    "num_interactions": 150_000,
    "ratios": [0.5, 0.2, 0.3],
    "scale": 20.0,
    "mislabelled": 0.2,
}
_MODEL = ["--model.embedding_dim", "4"]
#: What differs from configs/search/quickstart.yaml.
SEARCH: Mapping[str, Any] = {
    "rounds": 8,
    "candidates": 12,
    "population": 84,
    "holdout": 0.2,
    "finalists": 6,
    "tuning.learning_rates": [5e-3, 2e-2],
    "tuning.weight_decays": [2.5e-5, 1e-4],
    "tuning.learning_rate_factors": [0.3, 1.0, 3.0],
    "tuning.weight_decay_factors": [1.0, 3.0],
    "tuning.patience": 4,
}
#: What differs from configs/compare/quickstart.yaml.
COMPARE: Mapping[str, Any] = {
    "resamples": 2_000,
    "learning_rates": [5e-3, 2e-2],
    "weight_decays": [2.5e-5, 5e-5, 1e-4],
    "extensions": 2,
    "refinements": 1,
    "patience": 4,
}
_EPOCHS = 60


def main(
    data_seeds: int = 5,
    training_seeds: int = 8,
    strategies: Sequence[str] = ("PPO", "RandomSearch"),
    root: str = "runs/positive_control",
    search_options: Sequence[str] = (),
) -> None:
    """Run the searches and write the report.

    Args:
        data_seeds: Number of data sets, with the seeds 1, 2 and so on; searches have the same seeds.
        training_seeds: Trainings of every answer and of BCE in the comparison.
        strategies: Search strategies.
        root: Folder of the searches and comparisons.
        search_options: Further options of the searches, such as --search.draws=4096.
    """
    folder = Path(root).resolve()

    def measure(key: Mapping[str, Any]) -> dict[str, Any]:
        name, data = f"{key['strategy']}_{key['seed']}", data_arguments(key["seed"])
        own = {**SEARCH, "strategy": key["strategy"]}
        settings = ["--seed_everything", str(key["seed"]), "--trainer.max_epochs", str(_EPOCHS), *_MODEL, *data]
        search = ["--config", "configs/search/quickstart.yaml", *settings, *_as_options("search", own), *search_options]
        compare = ["--config", "configs/compare/quickstart.yaml", *_MODEL, *data]
        compare += _as_options("compare", {**COMPARE, "seeds": training_seeds})
        return answer_compared(folder / name, folder / f"compare_{name}", search, compare)

    keys = [{"strategy": name, "seed": seed} for seed in range(1, data_seeds + 1) for name in strategies]
    rows = finished_rows(folder / "answers.csv", keys, measure)
    write_report(
        "positive_control",
        title="Searches where a bounded loss is better than BCE",
        parts=[
            introduction(data_seeds),
            table(["strategy", "data", *HEADER], [row_of(row) for row in rows]),
            "Test AUC over tuned BCE of both, 0 where nothing was found:",
            strategy_differences(over_baseline(rows), "test", paired=True),
        ],
    )


def data_arguments(seed: int) -> list[str]:
    """Return the options of the data with a seed."""
    return _as_options("data", {**DATA, "data_seed": seed})


def _as_options(group: str, values: Mapping[str, Any]) -> list[str]:
    return [text for name, value in values.items() for text in (f"--{group}.{name}", str(value))]


def introduction(data_seeds: int) -> str:
    """Return what the data are and what is attainable on them."""
    data = (SyntheticInteractions(**DATA, data_seed=seed) for seed in range(1, data_seeds + 1))
    attainable = ", ".join(f"{each.best_attainable_auc:.4f}" for each in data)
    searched_with = ", ".join(f"{name} {value}" for name, value in SEARCH.items())
    return (
        f"{DATA['num_interactions']:,} synthetic interactions of {DATA['num_users']:,} users and {DATA['num_items']} "
        f"items, preferences of scale {DATA['scale']:g} and rank 4, {DATA['mislabelled']:.0%} of the labels wrong in "
        f"every split; biased MF with 4 dimensions. The test AUC of the true probabilities is {attainable}. The "
        f"settings are those of configs/search/quickstart.yaml but for {searched_with} and at most {_EPOCHS} epochs, "
        "and those of configs/compare/quickstart.yaml but for the grid."
    )


def over_baseline(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the test AUC over tuned BCE of every search, 0 where it found nothing."""
    differences = [row.get("difference", 0.0) for row in rows]
    found = [{"strategy": row["strategy"], "seed": row["seed"]} for row in rows]
    return pd.DataFrame(found).assign(test=differences).fillna(0.0)


def row_of(row: Mapping[str, Any]) -> list[str]:
    """Return a row of the table."""
    return [row["strategy"], str(row["seed"]), *cells(row)]


if __name__ == "__main__":
    auto_cli(main)
