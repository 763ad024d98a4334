"""Comparisons with and without compiled kernels: ``python -m benchmarks.compare_speed --data.root data/ml100k01-1-5``.

The same losses are compared twice by the command itself, with the same seeds and grid. Times are those of the
processor, so that they hold on a machine that does other things as well.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.common.commands import run_command, settle
from benchmarks.common.report import table, write_report

COMPARE = (
    "compare --config configs/compare/ml100k_biased_mf.yaml --compare.learning_rates [0.003] --compare.weight_decays "
    "[0.0,1e-4] --compare.seeds 2 --compare.tuning_seeds 1 --compare.extensions 0 --compare.refinements 0 "
    "--compare.resamples 1000"
)
LOSSES = ["--compare.losses", "[]", "--compare.formulas", "['exp((label - pred)**2)']"]
#: Most epochs of a training, by batch size; early stopping ends those that are long enough.
EPOCHS: Mapping[int, int] = {128: 2, 1024: 12}
KEY = ["loss", "seed", "learning_rate", "weight_decay"]


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        seconds: Processor time of the whole command.
        trainings: Rows of all trainings, by loss, seed and setting.
    """

    seconds: float
    trainings: pd.DataFrame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data.root", dest="root", type=Path, required=True, help="folder in the published layout")
    parser.add_argument("--seed", type=int, default=42, help="seed of the first training of every loss")
    options = parser.parse_args()
    settle()
    # Compiles the kernels, which takes place once on a machine.
    compared(options, 1024, ["--trainer.max_epochs", "1", "--compare.seeds", "1"])
    rows = [row(size, *both(options, size, epochs)) for size, epochs in EPOCHS.items()]
    header = [
        *("batch size", "same trainings", "epochs", "s, Lightning's steps", "s, kernels", "times as fast"),
        *("best epochs that differ", "score difference: median", "largest", "test AUC difference: largest"),
    ]
    write_report(
        "compare_speed",
        title="Comparisons by compiled kernels",
        parts=[
            f"`python train.py {COMPARE} ...`: BCE and `exp((label - pred)**2)` under BiasedMF (64) on ML-100K, "
            f"Adam with and without weight decay, seeds {options.seed} and {options.seed + 1}; at most "
            f"{' and '.join(str(each) for each in EPOCHS.values())} epochs with early stopping. Seconds of processor "
            "time of the whole command: reading, trainings with a validation an epoch, tests, bootstrap and report.",
            table(header, rows),
        ],
    )


def both(options: argparse.Namespace, batch_size: int, epochs: int) -> list[Comparison]:
    """Compare without kernels and with them."""
    given = ["--trainer.max_epochs", str(epochs)]
    return [compared(options, batch_size, [*given, "--compare.fused", fused]) for fused in ("false", "true")]


def compared(options: argparse.Namespace, batch_size: int, more: Sequence[str]) -> Comparison:
    """Compare the losses by the command, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given = ["--data.root", str(options.root), "--data.batch_size", str(batch_size), "--compare.root", folder]
        seed = ["--seed_everything", str(options.seed), "--trainer.accelerator", "cpu"]
        start = time.process_time()
        run_command([*COMPARE.split(), *LOSSES, *given, *seed, *more])
        seconds = time.process_time() - start
        rows = [pd.read_csv(Path(folder) / f"{name}.csv") for name in ("trainings", "results")]
    return Comparison(seconds, pd.concat(rows).groupby(KEY).last())


def row(batch_size: int, separate: Comparison, fused: Comparison) -> list[str]:
    """Return the figures of a batch size."""
    one, other = fused.trainings.align(separate.trainings, join="inner")
    scores, aucs = ((one[name] - other[name]).abs() for name in ("score", "test_auc"))
    return [
        f"{batch_size:,}",
        f"{len(one)} of {len(separate.trainings)}",
        str(separate.trainings["epochs"].sum()),
        f"{separate.seconds:.1f}",
        f"{fused.seconds:.1f}",
        f"**{separate.seconds / fused.seconds:.1f}**",
        str((one["epoch"] != other["epoch"]).sum()),
        *(f"{figure:.1e}" for figure in (scores.median(), scores.max(), aucs.max())),
    ]


if __name__ == "__main__":
    main()
