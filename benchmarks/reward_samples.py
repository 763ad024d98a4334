"""Are rewards on a sample of the rows enough? ``python -m benchmarks.reward_samples``.

Synthetic interactions of the size of MovieLens 10M with planted preferences. A panel of losses is trained by the
compiled kernels on all rows and on samples of them: rows at random, or users at random with all their rows. A sample is
searched on like a table of its own, so that its rewards are measured on rows held out from it. Trainings that are in
the CSV file already are not repeated.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from scipy.stats import kendalltau, spearmanr

from benchmarks.common.commands import settle
from benchmarks.common.popular_interactions import (
    ITEMS,
    ROWS,
    USERS,
    GivenInteractions,
    PopularInteractions,
    Sampling,
    sampled,
)
from benchmarks.common.report import table, write_report
from benchmarks.common.training import TrialBudget
from benchmarks.reward_signal import panel
from datamodules.batches import Batch
from lightning_modules.losses import Loss
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.trial import Assignment
from lightning_modules.training.trainers import TrainerFactory

# Candidates of a population, which share the order of the rows but not the tables, which have to be in memory.
_POPULATION = 10
_BEST = 0.4
_TOP = 5
_FAILED = -1.0


class Arm(NamedTuple):
    """What rewards are measured from: a share of the rows, what is drawn for it, and epochs of training."""

    share: float
    sampling: Sampling
    epochs: int

    @property
    def title(self) -> str:
        """Its name in tables."""
        what = "all rows" if self.share == 1 else f"{100 * self.share:g} %, {self.sampling} at random"
        return f"{what}, {self.epochs} epoch{'s' if self.epochs > 1 else ''}"


class Agreement(NamedTuple):
    """How rewards on a sample agree with those on all rows.

    Attributes:
        spearman: Spearman's correlation.
        kendall: Kendall's tau-b.
        spearman_best: Spearman's correlation over the best losses by all rows.
        kendall_best: Kendall's tau-b over those.
        top: Share of the sample's best losses that are the best ones by all rows.
        lost: What the sample's best loss has less, on all rows, than the best one.
    """

    spearman: float
    kendall: float
    spearman_best: float
    kendall_best: float
    top: float
    lost: float


def agreement(sample: pd.Series, whole: pd.Series) -> Agreement:
    """Return how rewards agree; both series have the losses as their index."""
    sample = sample.reindex(whole.index)
    best = whole.nlargest(round(_BEST * len(whole))).index
    return Agreement(
        spearmanr(sample, whole).statistic,
        kendalltau(sample, whole).statistic,
        spearmanr(sample[best], whole[best]).statistic,
        kendalltau(sample[best], whole[best]).statistic,
        len({*sample.nlargest(_TOP).index} & {*whole.nlargest(_TOP).index}) / _TOP,
        whole.max() - whole[sample.idxmax()],
    )


class SampleRewards:
    """Trains a panel of losses on samples of rows, and keeps the rewards in a CSV file.

    Args:
        path: The file.
        rows: All rows.
        losses: The panel, by name.
        holdout: Share of a sample's rows that rewards are measured on.
    """

    def __init__(self, path: Path, rows: Batch, losses: Mapping[str, Loss], holdout: float) -> None:
        self.path = path
        self.rows = rows
        self.losses = losses
        self.holdout = holdout

    def train(self, arm: Arm, seed: int) -> pd.DataFrame:
        """Return a row for every loss, with its reward and the seconds of processor time that its training took."""
        known = pd.read_csv(self.path) if self.path.exists() else pd.DataFrame(columns=[*Arm._fields, "seed"])
        same = known[[*Arm._fields, "seed"]].eq([*arm, seed]).all(axis=1)
        if not same.any():
            trained = self._trained(arm, seed)
            trained.to_csv(self.path, mode="a", header=not self.path.exists(), index=False)
            print(f"{arm.title}, seed {seed}: {trained['seconds'].mean():.2f} s a candidate", flush=True)
            return trained
        return known[same]

    def _trained(self, arm: Arm, seed: int) -> pd.DataFrame:
        rows = sampled(self.rows, arm.share, arm.sampling, seed)
        budget = TrialBudget("Adam", 5e-3, arm.epochs, holdout=self.holdout)
        whole = GivenInteractions(rows, batch_size=budget.batch_size, seed=seed)
        rewards, seconds = self._rewards(budget, whole, seed)
        sizes = {"rows": len(rows.user), "users": whole.num_users - 1, "items": whole.num_items - 1}
        results = {"loss": list(self.losses), "reward": rewards, "seconds": seconds}
        return pd.DataFrame({**arm._asdict(), "seed": seed, **sizes, **results})

    def _rewards(self, budget: TrialBudget, whole: GivenInteractions, seed: int) -> tuple[list[float], float]:
        data, trainers = whole.hold_out(budget.holdout, seed), TrainerFactory(budget.recipe)
        recommender = budget.model(data, seed)
        evaluator = FusedEvaluator(trainers, data, size=_POPULATION, otherwise=TrialEvaluator(trainers, data))
        start, names, rewards = time.process_time(), list(self.losses), []
        for first in range(0, len(names), _POPULATION):
            group = tuple(names[first : first + _POPULATION])
            assignment = Assignment(tuple(self.losses[name] for name in group), group, seed)
            scores = [evaluation.score for evaluation in evaluator.evaluate(recommender, assignment)]
            rewards += [_FAILED if score is None else score for score in scores]
        return rewards, (time.process_time() - start) / len(names)


def agreements(measured: pd.DataFrame, arm: Arm, whole: Arm) -> list[Agreement]:
    """Return how an arm's rewards with each seed agree with those on all rows with each other seed."""

    def rewards(each: Arm, seed: int) -> pd.Series:
        same = measured[[*Arm._fields, "seed"]].eq([*each, seed]).all(axis=1)
        return measured[same].set_index("loss")["reward"]

    return [agreement(rewards(arm, one), rewards(whole, other)) for one, other in permutations(_seeds(measured), 2)]


def _seeds(measured: pd.DataFrame) -> list[int]:
    return sorted(measured["seed"].unique())


def _row(measured: pd.DataFrame, arm: Arm, whole: Arm) -> list[str]:
    each = agreements(measured, arm, whole)
    own = measured[measured[[*Arm._fields]].eq([*arm]).all(axis=1)]
    cells = [_spread([getattr(one, name) for one in each]) for name in Agreement._fields[:4]]
    top, lost = (np.mean([getattr(one, name) for one in each]) for name in Agreement._fields[4:])
    sizes = [f"{own[name].mean():,.0f}" for name in ("rows", "users")]
    return [arm.title, *sizes, *cells, f"{_TOP * top:.1f}", f"{lost:.5f}", f"{own['seconds'].mean():.2f}"]


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def arms_of(shares: Sequence[float], epochs: Sequence[int]) -> list[Arm]:
    """Return all rows for the fewest epochs first, then the samples, every number of epochs on each."""
    samplings: tuple[Sampling, ...] = ("users", "rows")
    parts = sorted((share for share in shares if share < 1), reverse=True)
    samples = [Arm(share, sampling, number) for share in parts for sampling in samplings for number in epochs]
    return [Arm(1.0, "rows", min(epochs)), *samples]


def report(name: str, what: str, measured: pd.DataFrame, arms: Sequence[Arm], holdout: float) -> None:
    """Write the tables.

    Args:
        name: Name of the report.
        what: Sizes of the data in words.
        measured: All rewards.
        arms: What they are measured from, all rows first.
        holdout: Share of a sample's rows that rewards are measured on.
    """
    whole = arms[0]
    header = ["rewards from", "rows", "users", "Spearman, all", "Kendall, all"]
    header += [f"Spearman, best {_BEST:.0%}", f"Kendall, best {_BEST:.0%}", f"of the best {_TOP}", "AUC lost", "s"]
    means = measured.groupby([*Arm._fields, "loss"])["reward"].mean()
    best = means[tuple(whole)].sort_values(ascending=False)
    panel_rows = [[f"`{loss}`", *(f"{means[(*arm, loss)]:.4f}" for arm in arms)] for loss in best.index]
    write_report(
        name,
        title="Are rewards on a sample of the rows enough?",
        parts=[
            f"{what} with planted preferences, as unequally frequent as those of MovieLens 10M; 8 of 10 rows are for "
            f"training. BiasedMF (64), Adam 5e-3, batch 1024, compiled kernels; {len(best)} losses: all "
            "hand-made ones and right-direction formulas drawn uniformly. A reward is the AUC on a share of "
            f"{holdout:g} of the sample's rows, held out; seeds {', '.join(map(str, _seeds(measured)))} of the sample, "
            "the held-out rows, the initial weights and the order of the rows.",
            table(header, [_row(measured, arm, whole) for arm in arms]),
            "Correlations of the rewards of one seed with those on all rows of another seed, mean (lowest to highest) "
            "over the pairs of seeds: the first line is the ceiling that noise leaves. The best losses are those by "
            f"all rows. Of the best {_TOP}: how many of a sample's best {_TOP} are among the {_TOP} by all rows. AUC "
            "lost: what a sample's best loss has less, on all rows, than the best one. s: seconds of processor time a "
            "candidate.",
            table(["loss", *(f"reward: {arm.title}" for arm in arms)], panel_rows),
        ],
    )


def main(
    users: int = USERS,
    items: int = ITEMS,
    rows: int = ROWS,
    shares: Sequence[float] = (0.01, 0.1, 1.0),
    epochs: Sequence[int] = (1, 3),
    formulas: int = 23,
    seeds: Sequence[int] = (1, 2),
    holdout: float = 0.1,
    root: str = "runs/reward_samples",
) -> None:
    """Measure and write the tables.

    Args:
        users: Number of users.
        items: Number of items.
        rows: Number of interactions.
        shares: Shares of the rows; all of them are always measured.
        epochs: Epochs on each sample; on all rows the fewest of them.
        formulas: Number of formulas in the panel.
        seeds: Seeds, at least two.
        holdout: Share of a sample's rows that rewards are measured on.
        root: Folder of the rewards.
    """
    settle()
    if len(seeds) < 2:
        raise ValueError(f"the noise is known from two seeds or more, and these are {list(seeds)}")
    whole = PopularInteractions(num_users=users, num_items=items, num_interactions=rows)
    whole.setup()
    data = whole.rows["train"]
    losses, folder = panel(formulas, 1), Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    trainings = SampleRewards(folder / f"{users}-{items}-{rows}-{formulas}-{holdout:g}.csv", data, losses, holdout)
    arms = arms_of(shares, epochs)
    measured = pd.concat([trainings.train(arm, seed) for arm in arms for seed in seeds])
    name = "reward_samples" if rows == ROWS else f"reward_samples_{rows}"
    report(name, f"{rows:,} synthetic interactions of {users:,} users and {items:,} items", measured, arms, holdout)


if __name__ == "__main__":
    auto_cli(main)
