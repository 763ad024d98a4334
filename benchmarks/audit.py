"""Is what a search finds better than BCE, and than what random search finds with as many trained candidates?

Runs both searches and the comparison through the commands, unless their folders are there, and writes the outcome as it
fell, for one model:

    python -m benchmarks.audit data/ml100k01-1-5 biased_mf
    python -m benchmarks.audit data/ml100k01-1-5 deep_mf
"""

import shutil
from pathlib import Path
from typing import Literal

import pandas as pd
from jsonargparse import auto_cli

from benchmarks.common.commands import run_command, settle
from benchmarks.common.report import RESULTS, table, write_report
from lightning_modules.search.study import Study

STRATEGIES = ("PPO", "RandomSearch")


def search(data_root: str, model: str, strategy: str, folder: Path, rounds: int, seed: int) -> Study:
    """Run one study unless it is there."""
    if not (folder / "formulas.csv").is_file():
        arguments = ["search", "--config", f"configs/search/ml100k_{model}.yaml", "--data.root", data_root]
        arguments += ["--rounds", str(rounds), "--strategy", strategy, "--seed_everything", str(seed)]
        run_command([*arguments, "--root", str(folder)])
    return Study.read(folder)


def searched(studies: dict[str, Study]) -> str:
    """Return what the studies found under the search's own measure."""
    rows = []
    for name, study in studies.items():
        rewards = study.candidates["reward"]
        share = (rewards > 0).mean()
        row = [name, study.progress, f"{rewards.iloc[0]:+.4f}", f"{rewards.head(5).mean():+.4f}", f"{share:.0%}"]
        rows.append(row)
    return table(["strategy", "budget", "best reward", "mean of the best 5", "better than BCE"], rows)


def checked(folder: Path, comparison: Path) -> str:
    """Check the formulas that were compared, and return what matters."""
    compared = pd.read_csv(comparison / "summary.csv")
    formulas = compared[compared["group"].isin(["search", "random search"])]
    texts = [f"{text}" for text in formulas["loss"]]
    run_command(["check", "--root", str(folder), "--figures", "0", "--formulas", *texts])
    found = pd.read_csv(folder / "check.csv").set_index("formula")
    rows = []
    for text, label in zip(formulas["loss"], formulas["label"], strict=True):
        row = found.loc[text]
        signs = [f"{row['right_share']:.1%}", f"{row['right_share_unclamped']:.1%}"]
        rows.append(
            [label, *signs, row["monotone_label_0"], row["monotone_label_1"], row["proper"], row["keeps_order"]]
        )
    header = ["formula", "right signs", "without clamp", "label 0", "label 1", "proper", "keeps order"]
    return table(header, rows)


def main(
    data_root: str,
    model: Literal["biased_mf", "deep_mf"],
    root: str = "runs/audit",
    rounds: int = 30,
    seed: int = 1,
) -> None:
    """Run the audit and write its report.

    Args:
        data_root: Folder in the published layout.
        model: Whose configurations to take.
        root: Folder of the studies and the comparison.
        rounds: Rounds of twenty candidates.
        seed: Seed of the searches.
    """
    settle()
    folders = {strategy: Path(root) / f"{model}-{strategy}-{seed}" for strategy in STRATEGIES}
    studies = {name: search(data_root, model, name, folder, rounds, seed) for name, folder in folders.items()}
    comparison = Path(root) / f"{model}-comparison-{seed}"
    arguments = ["compare", "--config", f"configs/compare/ml100k_{model}.yaml", "--data.root", data_root]
    arguments += ["--study", str(folders["PPO"]), "--random_study", str(folders["RandomSearch"])]
    run_command([*arguments, "--root", str(comparison)])
    picture = RESULTS / f"audit_{model}_seed{seed}.png"
    shutil.copyfile(comparison / "intervals.png", picture)
    page = (comparison / "summary.md").read_text(encoding="utf-8").split("\n", 2)[2].strip().replace("\n## ", "\n### ")
    trainings = pd.read_csv(comparison / "trainings.csv")
    write_report(
        f"audit_{model}_seed{seed}",
        title=f"Audit of a search on MovieLens 100K: {model}, searches with seed {seed}",
        parts=[
            f"The commands that it runs, with `--data.root data/ml100k01-1-5` each: `search --config "
            f"configs/search/ml100k_{model}.yaml --rounds {rounds} --strategy PPO --seed_everything {seed}`, the same "
            f"with `--strategy RandomSearch`, and `compare --config configs/compare/ml100k_{model}.yaml --study ... "
            "--random_study ...`.",
            "## The searches, by their own reward",
            searched(studies),
            "Rewards are differences in AUC to BCE on held-out training rows after a short training.",
            "## The comparison, on the test rows",
            page,
            f"![Intervals]({picture.name})",
            f"{len(trainings)} trainings for tuning, {trainings['seconds'].sum() / 60:.0f} minutes of one core.",
            "## The check of the formulas that were compared",
            checked(Path(root) / f"{model}-check-{seed}", comparison),
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
