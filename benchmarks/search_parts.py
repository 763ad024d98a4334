"""Which part of a search pays? Searches without one of them, at equal cost, and what each found on the test rows.

Every search is a shipped configuration; a part is left out by options. What a search found, its answer or, without
finalists, the formula with the highest reward, is compared with tuned BCE, both trained with eight seeds. A search
without an answer leaves the user with BCE, a difference of 0. Rows that the folder holds are not measured again:

    python -m benchmarks.search_parts --options "[--data.root, DATA, --trainer.accelerator, cpu]"
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import compared, finished_rows, run
from lightning_modules.search.study import Study


@dataclass(frozen=True)
class Part:
    """A part of a search that is left out.

    Attributes:
        options: What the search is run with.
        search: Name of its folder; parts with the same search differ in what is taken from it.
        formula: What is taken: ``answer``, or ``1`` for the highest reward.
        rounds: Rounds for each of the whole search's, so that it costs as much.
    """

    options: tuple[str, ...] = ()
    search: str = "whole"
    formula: str = "answer"
    rounds: int = 1


PARTS: Mapping[str, Part] = {
    "none": Part(),
    "finalists": Part(formula="1"),
    "equal gradients of formulas": Part(("--search.normalize_scale", "false"), "unscaled"),
    # Two epochs of one setting are a thirtieth of a tuned reward, but drawing and learning cost as much as before.
    "tuned rewards": Part(("--search.tuning", "null", "--trainer.max_epochs", "2"), "untuned", rounds=4),
    "short formulas": Part(("--search.node_price", "0", "--search.most_operators", "null"), "long"),
}
_HEADER = [
    *("left out", "seed", "found", "operators", "over tuned BCE", "95 % interval", "p", "candidates"),
    "processor seconds of the search",
]
_NOTHING = {"difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}


def main(
    name: str = "ml100k_biased_mf",
    parts: Sequence[str] = tuple(PARTS),
    searches: int = 3,
    rounds: int = 15,
    training_seeds: int = 8,
    options: Sequence[str] = (),
    root: str = "runs/search_parts",
) -> None:
    """Run what is missing and write the report.

    Args:
        name: The configuration's name in configs/search and configs/compare.
        parts: What is left out, each in a search of its own.
        searches: Searches of each, with the seeds 1, 2 and so on.
        rounds: Rounds of the whole search.
        training_seeds: Trainings of every formula and of BCE in the comparison.
        options: Options of searches and comparisons, such as the data's root.
        root: Folder of the searches and comparisons.
    """
    folder = Path(root).resolve() / name

    def measure(key: Mapping[str, Any]) -> dict[str, Any]:
        part, seed = PARTS[key["part"]], str(key["seed"])
        study, comparison = folder / f"{part.search}_{seed}", folder / f"compare_{part.search}_{part.formula}_{seed}"
        again = (study / "formulas.csv").is_file()
        search = ["--config", f"configs/search/{name}.yaml", "--seed_everything", seed, *options, *part.options]
        budget = ["--search.rounds", str(rounds * part.rounds), "--search.root", str(study)]
        seconds = run(["search", *search, *budget])
        compare = ["--config", f"configs/compare/{name}.yaml", "--seeds", str(training_seeds), *options]
        return {"seconds": math.nan if again else seconds} | found_by(study, comparison, part, compare)

    keys = [{"part": part, "seed": seed} for seed, part in product(range(1, searches + 1), parts)]
    rows = sorted(finished_rows(folder / "parts.csv", keys, measure), key=lambda row: [*parts].index(row["part"]))
    means = [[part, _mean([row for row in rows if row["part"] == part])] for part in parts]
    write_report(
        f"search_parts_{name}",
        title="Searches without one of their parts",
        parts=[
            f"`search --config configs/search/{name}.yaml --search.rounds {rounds} --seed_everything SEED`, with "
            "options that leave a part out. Without tuned rewards a candidate is trained for two epochs with one "
            f"setting, and there are {PARTS['tuned rewards'].rounds} times the rounds. What was found is compared with "
            f"tuned BCE on the test rows, {training_seeds} trainings each; a search that finds nothing leaves BCE.",
            table(["left out", "test AUC over tuned BCE, mean ± sd of the searches"], means),
            table(_HEADER, [_cells(row) for row in rows]),
        ],
    )


def found_by(study: Path, comparison: Path, part: Part, compare: Sequence[str]) -> dict[str, Any]:
    """Return the formula that a search found, and its difference to tuned BCE on the test rows."""
    candidates = Study.read(study).candidates
    taken = candidates[candidates["is_answer"]] if part.formula == "answer" else candidates
    if taken.empty:
        return {"formula": "", "operators": 0, "candidates": len(candidates), **_NOTHING}
    best = {name: taken.iloc[0][name] for name in ("formula", "operators")}
    return {**best, "candidates": len(candidates), **compared(study, comparison, compare, taken=part.formula)}


def _mean(rows: Sequence[Mapping[str, Any]]) -> str:
    differences = [row["difference"] for row in rows]
    spread = f" ± {stdev(differences):.4f}" if len(differences) > 1 else ""
    return f"{fmean(differences):+.4f}{spread}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    seconds = "the same search" if math.isnan(row["seconds"]) else f"{row['seconds']:.0f}"
    arm, tail = [row["part"], str(row["seed"])], [f"{row['candidates']:.0f}", seconds]
    if not isinstance(row["formula"], str) or not row["formula"]:
        return [*arm, "nothing that beats BCE", "-", "-", "-", "-", *tail]
    interval = f"{row['low']:+.4f} to {row['high']:+.4f}"
    found = [f"`{row['formula']}`", f"{row['operators']:.0f}", f"{row['difference']:+.4f}"]
    return [*arm, *found, interval, f"{row['p_value']:.3f}", *tail]


if __name__ == "__main__":
    auto_cli(main)
