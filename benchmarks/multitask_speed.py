"""How fast multi-task models train beside the published loop: ``python -m benchmarks.multitask_speed --root DATA``.

DATA is KuaiRand-Pure; without it, impressions are drawn with the same sizes.
"""

import argparse
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

REQUIRED, REQUIRED_OF_DATA = 1.3, 10.0
MODELS = ("SharedBottom", "MMoE", "PLE")
BATCH_SIZE = 2048
WARM_UP_BATCHES = 2
PROFILED_BATCHES = 5
ADAM = partial(torch.optim.Adam, lr=published.LEARNING_RATE, weight_decay=published.WEIGHT_DECAY)


class Pair(NamedTuple):
    """The same model twice."""

    published: published.MultiTask
    ours: MultiTaskModel


def main() -> None:
    parser = speed_parser(__doc__, repeats=5)
    parser.add_argument("--batches", type=int, default=16, help="batches a repeat")
    options = parser.parse_args()
    settle()
    torch.manual_seed(options.seed)
    data = kuairand(options.root)
    rows, pairs = data.rows["train"], {name: build(name, data) for name in MODELS}
    times = {name: training_times(pair, rows, options) for name, pair in pairs.items()}
    parts = [
        *training_report(times, pairs, options.batches * BATCH_SIZE),
        *data_report(data_times(rows, options), len(rows.label)),
        profile(pairs["MMoE"].ours, rows, options.seed),
    ]
    write_report("multitask_speed", title="Training speed of multi-task models", parts=parts)


def build(name: str, data: ImpressionsDataModule) -> Pair:
    """Return a model of each kind with the published sizes.

    Raises:
        RuntimeError: If they do not have equally many parameters.
    """
    sizes = published.Sizes(data.field_sizes, data.num_numerical, len(data.tasks))
    theirs = getattr(published, name)(sizes)
    ours = getattr(multitask, name)(data.field_sizes, data.num_numerical, data.tasks)
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
    return in_turn({name: partial(arm, first(rows, options.batches)) for name, arm in arms.items()}, options.repeats)


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


def training_report(times: dict[str, Times], pairs: dict[str, Pair], rows: int) -> list[str]:
    """Return what was measured and the table."""
    lines = []
    for name, each in times.items():
        fused, plain = ratios(each, "ours"), ratios(each, "not fused")
        counts = f"{count(pairs[name].ours):,}"
        speeds = [rates(each, "published", rows), rates(each, "ours", rows)]
        lines.append([name, counts, *speeds, f"**{median(fused)}**", median(plain), verdict(fused, REQUIRED)])
    header = ["model", "parameters", "published loop", "ours", "ratio", "ratio, Adam not fused", "at least"]
    left_out = unused(pairs["PLE"].published)
    return [
        f"Training rows a second on one core, median of {len(times['PLE'])} repeats of {rows // BATCH_SIZE} batches of "
        f"{BATCH_SIZE} rows (slowest to fastest), in turn and after a warm-up; ratios of pairs, median and range. "
        "Embedding 128, bottom (512, 256), towers (128, 64), dropout 0.2, BatchNorm, 8 experts (PLE: 4 shared, 4 of "
        "each task), Adam 1e-3 with weight decay 1e-6, a new one each time.",
        "The published loop (`published_multitask.py`) collates single rows in a DataLoader, without worker processes, "
        "and goes through experts and tasks in Python. Ours is a whole `Trainer.fit` without logger and validation.",
        table(header, lines),
        f"Both compute the same function, with other dropout masks. PLE leaves out {left_out:,} parameters: the "
        "published one has a gate that nothing reads. Ours sends the tables of fields with few categories through the "
        "first layer in place of their rows, so that the ratios depend on the fields.",
    ]


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
