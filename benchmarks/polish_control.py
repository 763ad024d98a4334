"""Does a polish find critic weights that help where they must? Sessions whose row mean is not what counts.

The data are :class:`SyntheticSessions`, the model a logistic regression, the metric the session log-loss. The exact
optima under equal and other weights of the rows say what is attainable, and what the true values of the sessions' rest
would bring. Every data set is polished by the command, with critics that are fitted to the model's own actions and to
random ones. A finished polish is not repeated, and an interrupted one goes on:

    python -m benchmarks.polish_control
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from scipy import stats

from benchmarks.common.commands import run_command, settle
from benchmarks.common.polished import Gap, session_gaps, session_log_losses
from benchmarks.common.report import table, write_report
from benchmarks.common.weighted_optimum import WeightedOptimum, session_log_loss
from datamodules import SyntheticSessions

CONTROL = "fine-tuned"
CRITIC_ARMS = ("fine-tuned, 1 - 0.7 Q", "fine-tuned, -Q")
_RANDOM = ", critics of random actions"
_LONGER = "fine-tuned, 3 times the epochs, 5 times the rate"
#: The options of every polish.
OPTIONS: Mapping[str, Any] = {
    "model": "benchmarks.common.logistic_regression.LogisticRegression",
    "model.optimizer": "Adam",
    "model.optimizer.lr": 0.03,
    "data": "SyntheticSessions",
    "data.batch_size": 2048,
    "polish.monitor": "val/session_log_loss",
    "polish.mode": "min",
    "polish.agent": "DDPG",
    "polish.agent.actor_frozen": True,
    "polish.agent.embed_dim": 8,
    "polish.agent.bottom_mlp_dims": [64, 32],
    "polish.agent.tower_mlp_dims": [16],
    "polish.agent.dropout": 0.0,
    "polish.agent_epochs": 4,
    "polish.agent_rows": 512,
    "polish.fine_tuning_epochs": 5,
    "polish.fine_tuning_learning_rate": 0.01,
    "polish.weightings": [],
    "polish.resamples": 300,
    "trainer.max_epochs": 40,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": False,
}
#: What the polishes of a data set differ in: whose actions the critics are fitted to, and one without critics that
#: trains longer and with larger steps.
POLISHES: Mapping[str, Mapping[str, Any]] = {
    "actor": {"polish.agent.behaviour": "actor"},
    "uniform": {
        "polish.agent.behaviour": "uniform",
        "polish.variants": ["one_minus_q", "minus_q"],
        "polish.from_scratch": False,
    },
    "longer": {
        "polish.variants": [],
        "polish.from_scratch": False,
        "polish.fine_tuning_epochs": 15,
        "polish.fine_tuning_learning_rate": 0.05,
    },
}
#: The weights of the optima, by their name in the table.
OPTIMA: Mapping[str, Callable[[WeightedOptimum], np.ndarray]] = {
    "equal weights": WeightedOptimum.equal,
    "label-balanced weights": WeightedOptimum.of_labels,
    "weights 1 - 0.7 Q, true Q, discount 0 (loss of the row alone)": lambda each: each.of_true_values(_one_minus, 0.0),
    "weights 1 - 0.7 Q, true Q, discount 0.9": lambda each: each.of_true_values(_one_minus, 0.9),
    "weights -Q, true Q, discount 0": lambda each: each.of_true_values(np.negative, 0.0),
    "weights -Q, true Q, discount 0.9": lambda each: each.of_true_values(np.negative, 0.9),
    "weights 1 / rows of the session (attainable)": WeightedOptimum.of_sessions,
}


def main(
    data_seeds: int = 5,
    training_seeds: int = 3,
    root: str = "runs/polish_control",
) -> None:
    """Polish all data sets and write the report.

    Args:
        data_seeds: Number of data sets, with the seeds 1, 2 and so on.
        training_seeds: Base models of every data set, each with its critics and fine-tunings.
        root: Folder of the polishes.
    """
    settle()
    seeds = range(1, data_seeds + 1)
    folders = [{name: Path(root).resolve() / f"{name}_{seed}" for name in POLISHES} for seed in seeds]
    for name in POLISHES:
        for seed, of_seed in zip(seeds, folders, strict=True):
            polish(name, {"data.data_seed": seed, "polish.seeds": training_seeds, "polish.root": of_seed[name]})
    optima = pd.DataFrame([optimum_log_losses(seed) for seed in seeds])
    trained = pd.DataFrame([trained_log_losses(of_seed) for of_seed in folders])
    gaps = [session_gaps(of_seed["actor"]) for of_seed in folders]
    write_report(
        "polish_control",
        title="Critic-weighted fine-tuning where the weights must help",
        parts=[
            introduction(data_seeds, training_seeds),
            "## Exact optima",
            comparison(optima, "equal weights"),
            "## What a polish finds",
            comparison(trained, CONTROL),
            "## Every data set, critics of the model's own actions",
            table(["data", "arm", "less 'fine-tuned'", "95 % interval", "p"], list(_rows(gaps))),
            verdict(trained, optima),
        ],
    )


def polish(name: str, seeded: Mapping[str, Any]) -> None:
    """Run the command with the options of a polish and a data set, unless its report is there already."""
    if (Path(seeded["polish.root"]) / "summary.md").is_file():
        return
    options = {**OPTIONS, **POLISHES[name], **seeded}
    run_command(["polish", *(f"--{option}={value}" for option, value in options.items())])


def optimum_log_losses(seed: int) -> dict[str, float]:
    """Return the session log-loss of the test rows under every optimum and under the true probabilities."""
    data = SyntheticSessions(data_seed=seed)
    optimum = WeightedOptimum(data)
    found = {name: session_log_loss(data, fit(optimum)) for name, fit in OPTIMA.items()}
    return {**found, "true probabilities": data.best_attainable_session_log_loss}


def trained_log_losses(folders: Mapping[str, Path]) -> dict[str, float]:
    """Return the mean session log-loss of every arm of the polishes of a data set."""
    losses = {name: session_log_losses(folder) for name, folder in folders.items()}
    others = {f"{arm}{_RANDOM}": losses["uniform"][arm] for arm in CRITIC_ARMS}
    return {**losses["actor"], **others, _LONGER: losses["longer"][CONTROL]}


def comparison(losses: pd.DataFrame, control: str) -> str:
    """Return the table of the columns of session log-losses, one row a data set, and of their differences to one."""
    rows = []
    for name, column in losses.items():
        gap = column - losses[control]
        cells = ["-"] * 4 if name == control else _cells(gap)
        rows.append([str(name), f"{column.mean():.4f}", *cells])
    return table(["", "session log-loss", f"less '{control}'", "95 % interval", "p", "better in"], rows)


def verdict(trained: pd.DataFrame, optima: pd.DataFrame) -> str:
    """Return in words which arms were found to be better than the control, and their share of what is attainable."""
    attainable = (optima["equal weights"] - optima["weights 1 / rows of the session (attainable)"]).mean()
    lines = []
    for arm in (*CRITIC_ARMS, *(f"{arm}{_RANDOM}" for arm in CRITIC_ARMS), _LONGER):
        gap = trained[arm] - trained[CONTROL]
        found = "found" if gap.mean() < 0 and _p_value(gap) < 0.05 else "not found"
        lines.append(f"- {arm}: {found}; {-gap.mean() / attainable:.0%} of the {attainable:.4f} that are attainable")
    return "\n".join(lines)


def introduction(data_seeds: int, training_seeds: int) -> str:
    """Return what is measured."""
    return (
        f"{data_seeds} data sets of `SyntheticSessions` with its default options, {training_seeds} base models each. "
        "The mean over rows weighs the opening rows of smooth and of troubled sessions alike, the session log-loss "
        "weighs those of troubled sessions 3 times as much, and a logistic regression cannot serve both. The losses "
        "of the opening rows alone do not say which are which; those of the later rows do. The problem is convex, so "
        "that training on BCE converges to the optimum of equal weights; since every arm is tested after the epoch "
        "with the best validation metric, steps that are too large to converge may end beside it. Optima are Newton's, "
        "over all training rows. Means over the data sets; intervals and p by Student's t over the data sets; less is "
        "better."
    )


def _one_minus(value: np.ndarray) -> np.ndarray:
    return 1 - 0.7 * value


def _cells(gap: pd.Series) -> list[str]:
    half = stats.sem(gap) * stats.t.ppf(0.975, len(gap) - 1)
    ends = f"{gap.mean() - half:+.4f} to {gap.mean() + half:+.4f}"
    return [f"{gap.mean():+.4f}", ends, f"{_p_value(gap):.2g}", f"{(gap < 0).sum()} of {len(gap)}"]


def _p_value(gap: pd.Series) -> float:
    return float(stats.ttest_1samp(gap, 0).pvalue)


def _rows(gaps: Sequence[Mapping[str, Gap]]) -> list[list[str]]:
    return [
        [str(seed), arm, *gap]
        for seed, of_arms in enumerate(gaps, start=1)
        for arm, gap in of_arms.items()
        if arm in CRITIC_ARMS
    ]


if __name__ == "__main__":
    auto_cli(main)
