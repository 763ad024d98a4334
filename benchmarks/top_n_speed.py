"""How fast top-N models train and rank: ``python -m benchmarks.top_n_speed``.

Rows are drawn with the sizes of Amazon's Electronic for matrix factorisation, and with those of Gowalla for the rest.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor

from benchmarks.common.commands import settle
from benchmarks.common.interleaved_runs import Times, in_turn, median, rates, ratios, verdict
from benchmarks.common.report import table, write_report
from benchmarks.common.speed import operators, quiet_trainer
from benchmarks.published import top_n as published
from datamodules import CatalogueBatch, ImplicitFeedback, TopNBatch, UniformNegatives
from datamodules.batches import FeedbackRows
from datamodules.implicit.loaders import PositiveLoader
from datamodules.implicit.user_items import UserItems
from lightning_modules.losses import SampledSoftmax
from lightning_modules.optimizers import LazyAdam
from lightning_modules.recommenders import MF, LightGCN, TopNMetrics

REQUIRED, REQUIRED_RATE, REQUIRED_RANKING = 4.0, 150_000, 3.0
DIM, BATCH_SIZE, BLOCK, CUTOFFS = 64, 1024, 1024, (5, 10, 20)
# Batches of an epoch, so that setting up a training counts as little as it does.
EPOCH = 160
ADAM = partial(LazyAdam, lr=published.LEARNING_RATE, fused=True)


class Sizes(NamedTuple):
    """Users, items and rows of a data set."""

    users: int
    items: int
    rows: int


ELECTRONIC = Sizes(13_455, 8_360, 164_000)
GOWALLA = Sizes(29_858, 40_988, 810_128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, default=10, help="training batches a repeat of the published loop")
    parser.add_argument("--own_batches", type=int, default=40, help="those of ours with negatives of every row")
    parser.add_argument("--users", type=int, default=4096, help="users of Gowalla that are ranked for")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settle()
    torch.manual_seed(options.seed)
    parts = [*training_report(options), *ranking_report(options), *propagation_report(options)]
    write_report("top_n_speed", title="Speed of top-N recommendation", parts=parts)


def drawn(sizes: Sizes, seed: int) -> UserItems:
    """Return different pairs, users and items as uneven as those of data sets: ranks of a power law."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(2, sizes.rows + sizes.rows // 8, generator=generator, dtype=torch.float64)
    user, item = ((uniform[side] ** 2 * size).long() for side, size in enumerate(sizes[:2]))
    return UserItems.of(user, item, sizes.users, sizes.items)


def training_report(options: argparse.Namespace) -> list[str]:
    """Return the rates of training matrix factorisation."""
    items = drawn(ELECTRONIC, options.seed)
    lines = []
    for num_negatives in (128, 1000):
        times = training_times(items, num_negatives, options)
        each, of_own = (ratios(times, name) for name in ("ours", "own"))
        line = [f"{num_negatives:,}", rates(times, "published", 1), rates(times, "own", 1), f"**{median(of_own)}**"]
        line.append(rates(times, "ours", 1))
        fastest = [1 / repeat["ours"] for repeat in times]
        reached = verdict(fastest, REQUIRED_RATE) if num_negatives == 128 else ""
        lines.append([*line, f"**{median(each)}**", verdict(each, REQUIRED), reached])
    milliseconds, shares = operators(partial(fit, items, 128, EPOCH, options.seed), EPOCH)
    sides = ["published loop", "ours, of every row", "ratio", "ours, shared", "ratio"]
    header = ["negatives", *sides, "at least", "rows a second, at least"]
    return [
        f"Rows a second of processor time on one core: MF of {DIM} dimensions, cosine, sampled softmax, lazy Adam, "
        f"batches of {BATCH_SIZE}, {items.num_users:,} users and {items.num_items:,} items, {len(items.item):,} rows; "
        f"median of {options.repeats} repeats (slowest to fastest), in turn and after a warm-up; "
        f"{options.batches} batches of the published loop, {EPOCH} of ours, "
        f"{options.own_batches} with negatives of every row.",
        "The published loop (`benchmarks/published/top_n.py`) draws negatives for every row and gathers their vectors. "
        "Ours is a whole `Trainer.fit` without logger and validation: with negatives of every row, as published, and "
        "with those that a batch shares; no negative is an item of the row's user.",
        table(header, lines),
        f"Where ours spends its time with 128 negatives, by torch.profiler: {milliseconds:,.2f} ms a step.",
        table(["operator", "calls a step", "share of time"], shares),
    ]


def training_times(items: UserItems, num_negatives: int, options: argparse.Namespace) -> Times:
    """Return the seconds a row of the published loop and of ours, with negatives of every row and shared ones."""
    rows = torch.randperm(len(items.item))[: options.batches * BATCH_SIZE]
    taken = torch.zeros(items.num_users, items.num_items, dtype=torch.bool)
    taken[items.user, items.item] = True
    model = published.Factors(items.num_users, items.num_items, DIM)
    settings = {"num_negatives": num_negatives, "batch_size": BATCH_SIZE, "seed": options.seed}
    runs: dict[str, Callable[[], object]] = {
        "published": partial(published.train, model, items.user[rows], items.item[rows], taken, **settings),
        "own": partial(fit, items, num_negatives, options.own_batches, options.seed, shared=False),
        "ours": partial(fit, items, num_negatives, EPOCH, options.seed),
    }
    times = in_turn(runs, 1 + options.repeats, time.process_time)[1:]
    batches = {"published": options.batches, "own": options.own_batches, "ours": EPOCH}
    return [{name: each / (batches[name] * BATCH_SIZE) for name, each in repeat.items()} for repeat in times]


class Feedback(ImplicitFeedback):
    """Rows that are there already."""

    def __init__(self, items: UserItems, negatives: UniformNegatives, seed: int) -> None:
        super().__init__("drawn", negatives=negatives, batch_size=BATCH_SIZE, seed=seed)
        self.user_ids, self.item_ids = range(items.num_users), range(items.num_items)
        rows = FeedbackRows(items.user, items.item)
        self.rows = {"train": rows, "validation": rows, "test": rows}


def fit(
    items: UserItems,
    num_negatives: int,
    batches: int,
    seed: int,
    *,
    shared: bool = True,
    optimizer: OptimizerCallable = ADAM,
) -> None:
    """Train a number of batches with a new model and optimizer."""
    model = MF(items.num_users, items.num_items, embedding_dim=DIM, loss=SampledSoftmax(), optimizer=optimizer)
    trainer = quiet_trainer(max_steps=batches)
    trainer.limit_val_batches = 0
    trainer.fit(model, datamodule=Feedback(items, UniformNegatives(num_negatives, shared=shared), seed))


def ranking_report(options: argparse.Namespace) -> list[str]:
    """Return how much longer all metrics take than the product and the top k."""
    generator = torch.Generator().manual_seed(options.seed)
    users, items = (torch.randn(size, DIM, generator=generator) for size in GOWALLA[:2])
    taken = drawn(GOWALLA, options.seed)
    relevant = drawn(GOWALLA._replace(rows=217_336), options.seed + 1)
    blocks = [
        CatalogueBatch(user, *(torch.stack(each.pairs_of(user)) for each in (taken, relevant)))
        for user in torch.randperm(GOWALLA.users, generator=generator)[: options.users].split(BLOCK)
    ]
    runs: dict[str, Callable[[], object]] = {
        "published": partial(product_and_top, users, items, blocks),
        "ours": partial(all_metrics, users, items, blocks),
    }
    times = in_turn(runs, 1 + options.repeats, time.process_time)[1:]
    factors = [1 / each for each in ratios(times, "ours")]
    header = ["users", "product and top 20, users a second", "all metrics, users a second", "times as long", "at most"]
    counts = [rates(times, name, options.users) for name in ("published", "ours")]
    reached = "reached" if sorted(factors)[len(factors) // 2] <= REQUIRED_RANKING else "missed"
    line = [f"{options.users:,}", *counts, f"**{median(factors)}**", f"{REQUIRED_RANKING:g}: {reached}"]
    return [
        f"Full ranking of {GOWALLA.items:,} items in blocks of {BLOCK:,} users, whose scores take "
        f"{BLOCK * GOWALLA.items * 4 / 2**20:,.0f} MiB: {', '.join(map(str, CUTOFFS))} are the cut-offs; training "
        "items are masked, six metrics of every user, coverage.",
        table(header, [line]),
    ]


def product_and_top(users: Tensor, items: Tensor, blocks: list[CatalogueBatch]) -> None:
    for block in blocks:
        (users[block.user] @ items.T).topk(max(CUTOFFS), dim=1)


def all_metrics(users: Tensor, items: Tensor, blocks: list[CatalogueBatch]) -> None:
    metrics = TopNMetrics(len(items), CUTOFFS)
    for block in blocks:
        metrics.update(users[block.user] @ items.T, block)
    metrics.compute()


class WholeGraph(LightGCN):
    """Propagates every layer over the whole graph, as published code does, before it reads the batch's vectors."""

    def forward(self, user: Tensor | None, item: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return vectors of users and items, as they are scored."""
        users, items = super().forward(None, None)
        return users[user], items[item]


def propagation_report(options: argparse.Namespace) -> list[str]:
    """Return the seconds of an epoch of LightGCN, against propagating every layer over the whole graph."""
    lines = []
    for name, sizes in (("Electronic", ELECTRONIC), ("Gowalla", GOWALLA)):
        items = drawn(sizes, options.seed)
        models = {"published": graph_model(WholeGraph, items), "ours": graph_model(LightGCN, items)}
        for batch_size in (1024, 2048, 8192):
            row = next(iter(PositiveLoader(FeedbackRows(items.user, items.item), batch_size, seed=options.seed)))
            batch = Feedback(items, UniformNegatives(128), options.seed).with_negatives(row)
            runs = {each: partial(graph_step, model, batch) for each, model in models.items()}
            times = in_turn(runs, 1 + options.repeats, time.process_time)[1:]
            step = sorted(each["ours"] for each in times)[options.repeats // 2]
            epoch = step * len(items.item) / batch_size
            factor = median(ratios(times, "ours"))
            lines.append([name, f"{batch_size:,}", f"{step:.3f}", f"{epoch:,.0f}", f"**{factor}**"])
    return [
        f"LightGCN of {models['ours'].num_layers} layers, forwards and backwards on one core, without the optimizer's "
        "step, against propagating every layer over the whole graph before the batch's vectors are read:",
        table(["sizes of", "batch", "seconds a step", "seconds an epoch", "times as fast"], lines),
    ]


def graph_model(kind: type[LightGCN], items: UserItems) -> LightGCN:
    model = kind(items.num_users, items.num_items, embedding_dim=DIM, loss=SampledSoftmax())
    model.build_graph(items.user, items.item)
    return model


def graph_step(model: LightGCN, batch: TopNBatch) -> None:
    model.zero_grad()
    model.loss.of_batch(model.scored(batch)).mean().backward()


if __name__ == "__main__":
    main()
