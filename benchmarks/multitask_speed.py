"""How fast multi-task models train beside the published loop: ``python -m benchmarks.multitask_speed --root DATA``.

DATA is KuaiRand-Pure; without it, impressions are drawn with the same sizes.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import torch

from benchmarks.common.commands import settle
from benchmarks.common.interleaved_runs import Times, in_turn, median, rates, ratios, verdict
from benchmarks.common.report import table, write_report
from benchmarks.common.speed import count, kuairand, operators, quiet_trainer, speed_parser
from benchmarks.published import multitask as published
from datamodules import ImpressionsDataModule
from datamodules.batches import ImpressionBatch
from datamodules.loader import BatchLoader
from lightning_modules import multitask
from lightning_modules.multitask import MultiTaskModel

REQUIRED, REQUIRED_OF_DATA = 1.5, 10.0
MODELS = ("SharedBottom", "MMoE", "PLE")
BATCH_SIZE = 2048
WARM_UP_BATCHES = 2
PROFILED_BATCHES = 5
ADAM = partial(torch.optim.Adam, lr=published.LEARNING_RATE, weight_decay=published.WEIGHT_DECAY)


#: Name of a model and size of its embeddings.
Case = tuple[str, int]


class Pair(NamedTuple):
    """The same model twice."""

    published: published.MultiTask
    ours: MultiTaskModel


def main() -> None:
    parser = speed_parser(__doc__, repeats=5)
    parser.add_argument("--batches", type=int, default=16, help="batches a repeat")
    parser.add_argument("--embedding-dim", type=int, nargs="+", default=[16, 128], help="sizes of the embeddings")
    options = parser.parse_args()
    settle()
    torch.manual_seed(options.seed)
    data = kuairand(options.root)
    rows = data.rows["train"]
    pairs = {(name, size): build(name, data, size) for size in options.embedding_dim for name in MODELS}
    times = {case: training_times(pair, rows, options) for case, pair in pairs.items()}
    profiled = "MMoE", options.embedding_dim[0]
    parts = [
        *training_report(times, pairs, options.batches * BATCH_SIZE),
        *data_report(data_times(rows, options), len(rows.label)),
        profile(pairs[profiled].ours, rows, options.seed),
    ]
    sizes = "_".join(map(str, options.embedding_dim))
    write_report(f"multitask_speed_{sizes}", title="Training speed of multi-task models", parts=parts)


def build(name: str, data: ImpressionsDataModule, embedding_dim: int) -> Pair:
    """Return a model of each kind with the published sizes.

    Raises:
        RuntimeError: If they do not have equally many parameters.
    """
    sizes = published.Sizes(data.field_sizes, data.num_numerical, len(data.tasks), embedding_dim)
    theirs = getattr(published, name)(sizes)
    ours = getattr(multitask, name)(data.field_sizes, data.num_numerical, data.tasks, embedding_dim=embedding_dim)
    if count(ours) != count(theirs) - unused(theirs):
        raise RuntimeError(f"{name} has {count(ours)} parameters, and the published one {count(theirs)}")
    return Pair(theirs, ours)


def unused(model: published.MultiTask) -> int:
    """Return the number of parameters that do not enter the predictions, which ours does without."""
    return count(model.layers[-1].shared_gate) if isinstance(model, published.PLE) else 0


def training_times(pair: Pair, rows: ImpressionBatch, options: argparse.Namespace) -> Times:
    """Return the seconds of the published loop and of whole fits of ours, with and without the fused Adam."""
    arms: dict[str, Callable[[ImpressionBatch], object]] = {
        "published": partial(published.train, pair.published, batch_size=BATCH_SIZE),
        "ours": partial(fit, pair.ours, fused=True, seed=options.seed),
        "not fused": partial(fit, pair.ours, fused=None, seed=options.seed),
    }
    for arm in arms.values():
        arm(first(rows, WARM_UP_BATCHES))
    runs = {name: partial(arm, first(rows, options.batches)) for name, arm in arms.items()}
    return in_turn(runs, options.repeats, time.process_time)


def fit(model: MultiTaskModel, rows: ImpressionBatch, *, fused: bool | None, seed: int) -> None:
    """Train one epoch with a new optimizer, as KuaiRand's configurations do, but without validation."""
    model.optimizer = partial(ADAM, fused=fused)
    quiet_trainer().fit(model, train_dataloaders=BatchLoader(rows, BATCH_SIZE, shuffle=True, seed=seed))


def first(rows: ImpressionBatch, batches: int) -> ImpressionBatch:
    """Return the first full batches of the rows.

    Raises:
        ValueError: If there are fewer.
    """
    if len(rows.label) < batches * BATCH_SIZE:
        raise ValueError(f"{len(rows.label)} rows are fewer than {batches} batches of {BATCH_SIZE}; lower --batches")
    return ImpressionBatch(*(column[: batches * BATCH_SIZE] for column in rows))


def training_report(times: dict[Case, Times], pairs: dict[Case, Pair], rows: int) -> list[str]:
    """Return what was measured and the table."""
    header = ["model", "embedding", "parameters", "published loop", "ours", "ratio", "Adam not fused", "at least"]
    lines = [row_of(case, each, pairs[case], rows) for case, each in times.items()]
    repeats = max(len(each) for each in times.values())
    left_out = sorted({unused(pair.published) for pair in pairs.values()} - {0})
    return [
        f"Training rows a second of processor time on one core, median of {repeats} repeats of {rows // BATCH_SIZE} "
        f"batches of {BATCH_SIZE} rows (slowest to fastest), in turn and after a warm-up; ratios of pairs, median and "
        "range. Bottom (512, 256), towers (128, 64), dropout 0.2, BatchNorm, 8 experts (PLE: 4 shared, 4 of each "
        "task), Adam 1e-3 with weight decay 1e-6, a new one each time.",
        "The published loop (`benchmarks/published/multitask.py`) collates single rows in a DataLoader, without worker "
        "processes, and goes through experts and tasks in Python. Ours is a whole `Trainer.fit` without logger and "
        "validation.",
        table(header, lines),
        "Both compute the same function, with other dropout masks. PLE leaves out "
        f"{' or '.join(f'{each:,}' for each in left_out)} parameters: the published one has a gate that nothing reads. "
        "Ours sends the tables of fields with few categories through the first layer in place of their rows, so that "
        "the ratios depend on the fields, and computes one expert after the other, whose units stay in the cache.",
    ]


def row_of(case: Case, times: Times, pair: Pair, rows: int) -> list[str]:
    """Return the line of a model in the table."""
    fused, plain = ratios(times, "ours"), ratios(times, "not fused")
    speeds = [rates(times, "published", rows), rates(times, "ours", rows)]
    name, size = case
    counts = f"{count(pair.ours):,}"
    return [name, str(size), counts, *speeds, f"**{median(fused)}**", median(plain), verdict(fused, REQUIRED)]


def data_times(rows: ImpressionBatch, options: argparse.Namespace) -> Times:
    """Return the seconds of one shuffled epoch of both loaders."""
    loaders: dict[str, Iterable[object]] = {
        "published": published.row_loader(rows, BATCH_SIZE),
        "ours": BatchLoader(rows, BATCH_SIZE, shuffle=True, seed=options.seed),
    }
    return in_turn({name: partial(exhaust, loader) for name, loader in loaders.items()}, 1 + options.repeats)[1:]


def exhaust(loader: Iterable[object]) -> None:
    for _ in loader:
        pass


def data_report(times: Times, rows: int) -> list[str]:
    """Return the table of the loaders alone."""
    each = ratios(times, "ours")
    speeds = [rates(times, "published", rows), rates(times, "ours", rows)]
    header = ["data path alone", "DataLoader of single rows", "BatchLoader", "ratio", "at least"]
    return [
        table(header, [["rows a second", *speeds, f"**{median(each)}**", verdict(each, REQUIRED_OF_DATA)]]),
        f"One shuffled epoch of all {rows:,} training rows without a model; ours also hands over sessions, users and "
        "row numbers.",
    ]


def profile(model: MultiTaskModel, rows: ImpressionBatch, seed: int) -> str:
    """Return where a fit of ours spends its time."""
    run = partial(fit, model, first(rows, PROFILED_BATCHES), fused=True, seed=seed)
    milliseconds, lines = operators(run, PROFILED_BATCHES)
    return (
        f"Where ours spends its time with MMoE, by torch.profiler over a fit of {PROFILED_BATCHES} batches: the ten "
        f"operators with the largest time of their own, of {milliseconds:,.0f} ms a step.\n\n"
        + table(["operator", "calls a step", "share of time"], lines)
    )


if __name__ == "__main__":
    main()
