"""Time to a formula as good as tuned BCE, with and without a ladder of budgets, through the search command itself.

    python -m benchmarks.ladder --data.root data/ml100k01-1-5

Goes on where it was ended; several processes can share the work by ``--arms`` and ``--seeds``.
"""

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr

from benchmarks.common.commands import run_command, settle
from benchmarks.common.full_trainings import BASELINE, Full, FullTrainings
from benchmarks.common.report import table, write_report
from benchmarks.common.search_course import Step, best_share, course, first_at, whole_cost
from benchmarks.common.training import FULL_LEARNING_RATE, FULL_WEIGHT_DECAYS
from datamodules import InteractionsDataModule

CONFIG = "configs/search/ml100k_biased_mf.yaml"
LADDER = ["--search.ladder", "1,3,10"]
SLOW = ["--model.optimizer.lr", "2e-3"]
#: Rounds of all arms cost different numbers of epochs: 40 without a ladder, 71 with it.
ARMS: Mapping[str, Sequence[str]] = {
    "no ladder": [],
    "ladder 1,3,10": LADDER,
    "no ladder, Adam 2e-3": SLOW,
    "ladder 1,3,10, Adam 2e-3": [*SLOW, *LADDER],
}
BEST_SHARE = 0.4
LEVELS = ("near tuned BCE", "at tuned BCE", "0.005 above")


@dataclass(frozen=True)
class Outcome:
    """What became of one search.

    Attributes:
        arm: Its arm.
        seed: Its seed.
        cost: Seconds and epochs of all its trials.
        steps: Its best formulas, in the order in which it found them.
        full: Those formulas trained to convergence.
        reached: The step that first reached each of the levels.
        correlation: Of rank in the search with full training; nan where it was not measured.
    """

    arm: str
    seed: int
    cost: tuple[float, int]
    steps: list[Step]
    full: Mapping[str, Full]
    reached: Sequence[Step | None]
    correlation: float

    def row(self) -> list[str]:
        """Return a line of the table of searches."""
        final = self.full[self.steps[-1].formula]
        seconds, epochs = self.cost
        last = [f"{final.validation.mean():.4f}", f"{final.test.mean():.4f}", _number(self.correlation)]
        return [self.arm, str(self.seed), f"{seconds:.0f}; {epochs}", *map(_step, self.reached), *last]


def search(data_root: Path, root: Path, arm: str, seed: int, rounds: int, warmup_updates: int) -> Path:
    """Run one search, or go on with it; return its folder."""
    folder = root / f"{arm.replace(', ', '-').replace(' ', '-')}-{seed}"
    arguments = ["search", "--config", CONFIG, "--data.root", str(data_root), "--seed_everything", str(seed)]
    arguments += ["--search.root", str(folder), "--search.rounds", str(rounds), "--search.references=[]"]
    # Budgets are those of single trainings.
    arguments += ["--search.tuning", "null", "--search.normalize_scale", "false", "--search.population", "1"]
    arguments += ["--trainer.max_epochs", "2"]
    run_command([*arguments, "--search.warmup_updates", str(warmup_updates), *ARMS[arm]])
    return folder


class Judge:
    """Trains the best formulas of searches to convergence.

    Args:
        trainings: Trains and remembers.
        seeds: Training seeds.
        sampled: Number of formulas among each search's best ones for the correlation; 0 for none.
    """

    def __init__(self, trainings: FullTrainings, seeds: Sequence[int], sampled: int) -> None:
        self.trainings = trainings
        self.seeds = seeds
        self.sampled = sampled
        self.tuned = trainings.train(BASELINE, seeds)

    def judge(self, arm: str, seed: int, folder: Path) -> Outcome:
        """Return the outcome of a search."""
        steps = course(folder)
        full = {step.formula: self.trainings.train(step.formula, self.seeds) for step in steps}

        def quality(formula: str) -> float:
            return float(full[formula].validation.mean())

        reached = [first_at(steps, level, quality) for level in self.levels]
        return Outcome(arm, seed, whole_cost(folder), steps, full, reached, self._correlation(folder))

    @property
    def levels(self) -> tuple[float, float, float]:
        """Validation AUCs to reach: tuned BCE less one standard error, tuned BCE, and clearly more."""
        level = float(self.tuned.validation.mean())
        return level - self.tuned.standard_error, level, level + 0.005

    def _correlation(self, folder: Path) -> float:
        """Return the rank correlation of a search's order with that after full training with the first seed."""
        formulas = best_share(folder, BEST_SHARE, self.sampled)
        if len(formulas) < 3:
            return math.nan
        aucs = [self.trainings.train(formula, self.seeds[:1]).validation.iloc[0] for formula in formulas]
        return float(spearmanr(range(len(formulas), 0, -1), aucs).statistic)


def report(outcomes: Sequence[Outcome], judge: Judge, rounds: int) -> list[str]:
    """Return the tables."""
    tuned, seeds = judge.tuned, ", ".join(map(str, judge.seeds))
    decays = ", ".join(map(str, FULL_WEIGHT_DECAYS))
    header = ["search", "seed", "seconds; epochs in all", *LEVELS, "last: validation", "test"]
    arms = list(dict.fromkeys(outcome.arm for outcome in outcomes))
    return [
        f"{CONFIG} without reference losses, {rounds} rounds of 20 candidates. After every round the search's best "
        "formula so far, by its own rewards on held-out training rows, is trained to convergence: Adam "
        f"{FULL_LEARNING_RATE:g}, batch 1024, early stopping on validation AUC, the best of the weight decays {decays} "
        f"by validation, mean over seeds {seeds}. Time is that of all trials so far, the baseline's included; the "
        "controller's own and that of the full trainings is not.",
        f"Tuned BCE, trained in the same way: validation AUC {tuned.validation.mean():.4f}, standard error over seeds "
        f"{tuned.standard_error:.4f}, test AUC {tuned.test.mean():.4f}. Near means that level less one standard error.",
        table([*header, f"correlation in the best {BEST_SHARE:.0%}"], [outcome.row() for outcome in outcomes]),
        "Each cell: seconds; epochs; round. Correlation: Spearman's, of the search's order with validation AUC after "
        f"full training, over {judge.sampled} formulas of its best {BEST_SHARE:.0%}, evenly spaced.",
        table(["", *LEVELS, "correlation"], [_arm_row(arm, outcomes) for arm in arms]),
        "Medians over seeds, of seconds and of epochs; a search that did not get there counts as infinite.",
        table(
            ["search", "seed", "round", "seconds", "validation", "test", "best formula from then on"], _all(outcomes)
        ),
    ]


def _arm_row(arm: str, outcomes: Sequence[Outcome]) -> list[str]:
    own = [outcome for outcome in outcomes if outcome.arm == arm]
    cells = [_median([outcome.reached[place] for outcome in own]) for place in range(len(LEVELS))]
    return [arm, *cells, _number(statistics.median(outcome.correlation for outcome in own))]


def _median(steps: Sequence[Step | None]) -> str:
    seconds = statistics.median(math.inf if step is None else step.seconds for step in steps)
    epochs = statistics.median(math.inf if step is None else step.epochs for step in steps)
    return "not reached" if math.isinf(seconds) else f"{seconds:.0f}; {epochs:.0f}"


def _all(outcomes: Sequence[Outcome]) -> list[list[str]]:
    return [
        [
            outcome.arm,
            str(outcome.seed),
            str(step.round),
            f"{step.seconds:.0f}",
            *(f"{aucs.mean():.4f}" for aucs in outcome.full[step.formula]),
            f"`{step.formula}`",
        ]
        for outcome in outcomes
        for step in outcome.steps
    ]


def _step(step: Step | None) -> str:
    return "not reached" if step is None else f"{step.seconds:.0f}; {step.epochs}; {step.round}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data.root", dest="data_root", type=Path, required=True, help="folder in the published layout"
    )
    parser.add_argument("--root", type=Path, default=Path("runs/ladder"), help="folder of the searches and trainings")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS)[:2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="of the searches")
    parser.add_argument("--training_seeds", nargs="+", type=int, default=[1, 2, 3], help="of the full trainings")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warmup_updates", type=int, default=80)
    parser.add_argument("--sampled", type=int, default=12, help="formulas a search for the correlation; 0 for none")
    options = parser.parse_args()
    settle()
    options.root.mkdir(parents=True, exist_ok=True)
    trainings = FullTrainings(options.root / "trainings.csv", InteractionsDataModule(str(options.data_root)))
    judge, outcomes = Judge(trainings, options.training_seeds, options.sampled), []
    for seed in options.seeds:
        for arm in options.arms:
            folder = search(options.data_root, options.root, arm, seed, options.rounds, options.warmup_updates)
            outcomes.append(judge.judge(arm, seed, folder))
            print(", ".join(outcomes[-1].row()), flush=True)
    outcomes.sort(key=lambda outcome: (options.arms.index(outcome.arm), outcome.seed))
    parts = report(outcomes, judge, options.rounds)
    write_report("ladder", title="Time to tuned BCE with and without a ladder", parts=parts)


if __name__ == "__main__":
    main()
