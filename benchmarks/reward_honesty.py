"""Do the rewards of a search say how good its formulas are when they are tuned and trained to convergence?

A panel of a study's candidates, evenly over their ranks, is tuned as in a comparison, trained to convergence on all
training rows and tested once. Reported is the Spearman correlation of reward and test AUC, over the whole panel and
over those with the best 40 % of test AUCs. What is trained is kept in the comparison's folder:

    python -m benchmarks.reward_honesty RUN --name ml100k_biased_mf --options "[--data.root, DATA]"
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from scipy.stats import spearmanr

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import run
from lightning_modules.search.study import Study

_BEST = 0.4


def main(
    studies: Sequence[str],
    name: str = "quickstart",
    formulas: int = 40,
    training_seeds: int = 1,
    options: Sequence[str] = (),
) -> None:
    """Train the panels and write the report.

    Args:
        studies: Folders of searches.
        name: The configuration's name in configs/compare.
        formulas: Number of candidates of each search in its panel.
        training_seeds: Trainings of each after tuning; their mean counts.
        options: Other options of the comparison, such as the data's root.
    """
    rows = []
    for study in studies:
        panel = evenly(Study.read(Path(study)).candidates, formulas)
        root = Path(study).with_name(f"{Path(study).name}_panel")
        arguments = ["--config", f"configs/compare/{name}.yaml", "--seeds", str(training_seeds), *options]
        run(["compare", *arguments, "--compare.root", str(root), "--formulas", str(panel["formula"].tolist()),
             "--losses", "[]"])  # fmt: skip
        rows.append([Path(study).name, *figures(panel, pd.read_csv(root / "summary.csv"))])
    write_report(
        f"reward_honesty_{name}",
        title="Rewards beside tuned, converged results",
        parts=[
            f"{formulas} candidates of each search, evenly over the ranks by reward, compared with `compare --config "
            f"configs/compare/{name}.yaml --seeds {training_seeds}`.",
            table(["search", "formulas", "Spearman, all", f"Spearman, best {_BEST:.0%}", "above tuned BCE"], rows),
        ],
    )


def evenly(candidates: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return trained candidates of distinct formulas, evenly over their ranks."""
    trained = candidates[(candidates["kind"] == "candidate") & (candidates["status"] == "trained")]
    ranked = trained.drop_duplicates("formula").sort_values("reward", ascending=False)
    places = np.unique(np.linspace(0, len(ranked) - 1, count).round().astype(int))
    return ranked.iloc[places]


def figures(panel: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Return the number of formulas, both correlations and the number of formulas above the baseline."""
    both = panel.merge(summary[["loss", "test_auc", "difference"]], left_on="formula", right_on="loss")
    best = both.nlargest(round(_BEST * len(both)), "test_auc")
    correlations = [spearmanr(each["reward"], each["test_auc"]).statistic for each in (both, best)]
    return [str(len(both)), *(f"{value:.2f}" for value in correlations), str(int((both["difference"] > 0).sum()))]


if __name__ == "__main__":
    auto_cli(main)
