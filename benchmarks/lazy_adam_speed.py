"""What a step of matrix factorisation takes by the size of its tables, with Adam and lazy Adam.

    python -m benchmarks.lazy_adam_speed

Both train on the same rows, in turn. A step's time is the difference between a long and a short training, over the
difference in steps, so that what is done once, at the beginning and the end of an epoch, does not count.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from pytorch_lightning.cli import OptimizerCallable

from benchmarks.common.commands import settle
from benchmarks.common.interleaved_runs import in_turn, median
from benchmarks.common.report import table, write_report
from benchmarks.published.top_n import LEARNING_RATE
from benchmarks.top_n_speed import BATCH_SIZE, DIM, Sizes, drawn, fit
from lightning_modules.optimizers import LazyAdam

# Users and items of Electronic and Gowalla, and larger ones.
SIZES = [(13_455, 8_360), (29_858, 40_988), (150_000, 70_000), (700_000, 300_000)]
NEGATIVES = 128
OPTIMIZERS: dict[str, OptimizerCallable] = {
    "Adam": partial(torch.optim.Adam, lr=LEARNING_RATE, fused=True),
    "LazyAdam": partial(LazyAdam, lr=LEARNING_RATE),
}


def main() -> None:
    """Time both and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs=2, default=[20, 320], help="steps of a short and a long training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settle()
    torch.manual_seed(options.seed)
    header = ["users", "items", "Adam, ms a step", "LazyAdam, ms a step", "times as fast"]
    lines = [line(Sizes(users, items, 2 * options.batches[1] * BATCH_SIZE), options) for users, items in SIZES]
    short, long = options.batches
    notes = (
        f"Milliseconds of processor time on one core: MF of {DIM} dimensions, cosine, sampled softmax, batches of "
        f"{BATCH_SIZE:,} rows with {NEGATIVES} shared negatives; {long} steps less {short}, median of "
        f"{options.repeats} repeats (lowest to highest), in turn and after a warm-up."
    )
    write_report("lazy_adam_speed", title="Lazy Adam by the size of the tables", parts=[notes, table(header, lines)])


def line(sizes: Sizes, options: argparse.Namespace) -> list[str]:
    """Return the row of one size."""
    items = drawn(sizes, options.seed)
    runs: dict[str, Callable[[], object]] = {
        f"{name} {batches}": partial(fit, items, NEGATIVES, batches, options.seed, optimizer=optimizer)
        for name, optimizer in OPTIMIZERS.items()
        for batches in options.batches
    }
    times = in_turn(runs, 1 + options.repeats, time.process_time)[1:]
    short, long = options.batches
    steps = {
        name: [1000 * (each[f"{name} {long}"] - each[f"{name} {short}"]) / (long - short) for each in times]
        for name in OPTIMIZERS
    }
    pairs = zip(steps["Adam"], steps["LazyAdam"], strict=True)
    faster = median([dense / lazy for dense, lazy in pairs])
    return [f"{sizes.users:,}", f"{sizes.items:,}", *(median(each) for each in steps.values()), f"**{faster}**"]


if __name__ == "__main__":
    main()
