"""The search strategies at equal numbers of trained candidates, through the search command itself.

    python -m benchmarks.strategies data/ml100k01-1-5

Studies that are there already are not run again, so that several processes can share the work by ``--arms``.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jsonargparse import auto_cli
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.common.commands import run_command, settle
from benchmarks.common.report import table, write_report
from benchmarks.common.training import full_training
from datamodules import InteractionsDataModule
from lightning_modules.losses import BCE, FormulaLoss
from lightning_modules.search.ledger import read_ledger

CONFIG = "configs/search/ml100k_biased_mf.yaml"
ARMS = {
    "PPO": ["--search.strategy", "PPO"],
    "PPO, a third drawn uniformly": ["--search.strategy", "PPO", "--search.strategy.uniform_share", "0.33"],
    "PPO, no surrogate": ["--search.strategy", "PPO", "--search.strategy.exploration", "null"],
    "REINFORCE": ["--search.strategy", "REINFORCE"],
    "RegularizedEvolution": ["--search.strategy", "RegularizedEvolution"],
    "RandomSearch": ["--search.strategy", "RandomSearch"],
}
LAST = 100
FINALISTS = 3


def run(data_root: str, root: Path, arm: str, seed: int, rounds: int) -> Path:
    """Run one study unless it is there, and return its folder."""
    folder = root / f"{arm.replace(', ', '-').replace(' ', '-')}-{seed}"
    if not (folder / "formulas.csv").is_file():
        arguments = ["search", "--config", CONFIG, "--data.root", data_root, "--seed_everything", str(seed)]
        arguments += ["--search.rounds", str(rounds), "--search.root", str(folder), *ARMS[arm]]
        run_command(arguments)
    return folder


def figures(folder: Path) -> dict[str, float]:
    """Return what one study found, in rewards on the held-out training rows."""
    ledger = read_ledger(folder)
    rewards = ledger[ledger["kind"] == "candidate"]["reward"]
    best = rewards.sort_values(ascending=False)
    return {
        "trained": len(rewards),
        "best": best.iloc[0],
        "mean of best 5": best.head(5).mean(),
        "mean of best 20": best.head(20).mean(),
        "better than BCE": (rewards > 0).mean(),
        f"of the last {LAST}": (rewards.tail(LAST) > 0).mean(),
        "least new share": min(new_shares(folder)),
    }


def new_shares(folder: Path) -> list[float]:
    """Return each round's share of new trainable programs among its draws."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.value for event in events.Scalars("drawn/trainable")]


def finalists(data: InteractionsDataModule, folder: Path, seed: int) -> dict[str, float]:
    """Train the best formulas fully; return the test AUC of the one with the best validation AUC."""
    file = folder / "finalists.csv"
    if not file.is_file():
        formulas = pd.read_csv(folder / "formulas.csv").query("kind == 'candidate'").head(FINALISTS)["formula"]
        rows = [(formula, *full_training(data, FormulaLoss(formula), seed)) for formula in formulas]
        pd.DataFrame(rows, columns=["formula", "val_auc", "test_auc"]).to_csv(file, index=False)
    best = pd.read_csv(file).nlargest(1, "val_auc").iloc[0]
    return {"full training, validation AUC": best["val_auc"], "full training, test AUC": best["test_auc"]}


def summary(rows: pd.DataFrame) -> str:
    """Return mean and spread over seeds, one row an arm."""
    lines = []
    for arm, group in rows.groupby("arm", sort=False):
        cells = [f"{group[name].mean():.4f} ± {group[name].std():.4f}" for name in rows.columns[3:]]
        lines.append([str(arm), str(len(group)), f"{group['trained'].mean():.0f}", *cells])
    return table(["strategy", "seeds", "trained", *rows.columns[3:]], lines)


def main(
    data_root: str,
    seeds: Sequence[int] = (1, 2, 3),
    rounds: int = 20,
    root: str = "runs/strategies",
    arms: Sequence[str] = tuple(ARMS),
) -> None:
    """Run the studies and write the table.

    Args:
        data_root: Folder in the published layout.
        seeds: Seeds of each strategy.
        rounds: Rounds of twenty candidates.
        root: Folder of the studies.
        arms: Strategies to compare.
    """
    settle()
    data, rows, baseline = InteractionsDataModule(data_root), [], []
    for seed in seeds:
        for arm in arms:
            folder = run(data_root, Path(root), arm, seed, rounds)
            rows.append({"arm": arm, "seed": seed, **figures(folder), **finalists(data, folder, seed)})
        baseline.append(full_training(data, BCE(), seed))
    results = pd.DataFrame(rows).sort_values("arm", key=lambda names: names.map(list(arms).index), kind="stable")
    tuned = pd.DataFrame(baseline, columns=["validation", "test"])
    write_report(
        "strategies",
        title="Search strategies at equal numbers of trained candidates",
        parts=[
            f"{CONFIG}, {rounds} rounds of 20 candidates, seeds "
            f"{', '.join(map(str, seeds))}. Rewards are AUC on "
            "held-out training rows less that of BCE under the same trial budget; mean ± standard deviation over "
            "seeds. The surrogate chooses which of a round's trainable draws are trained.",
            summary(results),
            f"Full training: the {FINALISTS} best formulas of each study, trained to convergence as in reward_signal; "
            "the one with the best validation AUC. BCE in the same set-up: validation AUC "
            f"{tuned['validation'].mean():.4f} ± {tuned['validation'].std():.4f}, test AUC "
            f"{tuned['test'].mean():.4f} ± {tuned['test'].std():.4f}. The standard error of an AUC on these splits is "
            "0.012.",
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
