"""What a row, a candidate and a user cost: ``python -m benchmarks.scale_rates``, for the page on scale.

Bytes on disk, in memory and to a worker, and seconds of processor time, fitted to trainings of several sizes.
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from benchmarks.common.commands import settle
from benchmarks.common.linear_costs import Cost, Sizes, fitted, grid, measured
from benchmarks.common.popular_interactions import GivenInteractions, PopularInteractions
from benchmarks.common.report import table, write_report
from benchmarks.common.training import TrialBudget
from benchmarks.population_speed import formulas
from datamodules import InteractionsDataModule
from datamodules.batches import Batch
from datamodules.loader import BatchLoader
from lightning_modules.losses import Loss
from lightning_modules.populations.fused import biased_mf  # noqa: F401 (registers the model)
from lightning_modules.populations.fused.fused_model import fused
from lightning_modules.populations.fused.matching import matched_table
from lightning_modules.recommenders import BiasedMF, Recommender
from lightning_modules.search.evaluation import Evaluator, TrialEvaluator
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.trial import Assignment
from lightning_modules.training.executors.shared_memory import pack
from lightning_modules.training.trainers import TrainerFactory

BUDGET = TrialBudget("Adam", 5e-3, 1)
_TRAINERS = TrainerFactory(BUDGET.recipe)
_SEED = 1
_MANY = 5
_TERMS = ("call", "candidate", "row", "candidate and row", "candidate and reward row")
_EPOCH_ROWS = 2**20


class Tables(NamedTuple):
    """Numbers of users and items."""

    users: int
    items: int

    @property
    def title(self) -> str:
        """Its name in tables."""
        return f"{self.users:,} and {self.items:,}"


TABLES = (Tables(20_000, 10_000), Tables(70_000, 10_000), Tables(200_000, 20_000))


class Way(NamedTuple):
    """A way of training candidates: its name, and the share of the given rows and the candidates to measure it with."""

    name: str
    share: float
    candidates: Sequence[int]

    def evaluator(self, data: GivenInteractions) -> Evaluator:
        """Return what trains this way."""
        single = TrialEvaluator(_TRAINERS, data)
        return single if self.name == TRAINER else FusedEvaluator(_TRAINERS, data, size=_MANY, otherwise=single)


KERNELS, TRAINER = "compiled kernels", "a Trainer each"
WAYS = (Way(KERNELS, 1.0, (1, _MANY)), Way(TRAINER, 0.1, (1,)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600_000, help="training rows of the kernels, others take fewer")
    parser.add_argument("--order_rows", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--tables", type=int, default=len(TABLES), help="numbers of users and items to measure")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    settle()
    losses = formulas(_MANY, _SEED)
    parts = [bytes_table(TABLES[0], options.rows)]
    parts += [rates_table(TABLES[: options.tables], losses, options.rows, options.repetitions)]
    parts += [orders_table([int(rows) for rows in options.order_rows])]
    write_report("scale_rates", title="What a row, a candidate and a user cost", parts=parts)


def bytes_table(size: Tables, rows: int) -> str:
    """Return the table of bytes on disk, in memory, and to a worker or a node."""
    drawn = PopularInteractions(num_users=size.users, num_items=size.items, num_interactions=rows)
    frame = pd.concat(drawn.read_splits())[["user", "item", "label"]].set_axis(["uid", "iid", "label"], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        text, parquet = Path(folder) / "rows.csv", Path(folder) / "rows.parquet"
        frame.astype({"label": int}).to_csv(text, index=False)
        frame.to_parquet(parquet, index=False)
        data = InteractionsDataModule(str(parquet))
        data.setup("fit")
        disk = {"CSV on disk": text.stat().st_size, "Parquet on disk": parquet.stat().st_size}
    held = sum(column.nbytes for split in data.rows.values() for column in split)
    sent = packed_bytes(TrialEvaluator(_TRAINERS, data.hold_out(BUDGET.holdout, _SEED)))
    of_rows = {**disk, "in memory": held, "to the workers of a machine, or a node, once": sent}
    recommender, ids = BUDGET.model(data, _SEED), data.num_users + data.num_items
    lines = [[name, f"{count / rows:.1f}", ""] for name, count in of_rows.items()]
    lines += [["initial weights, to a worker or a node, once", "", f"{packed_bytes(recommender) / ids:.0f}"]]
    lines += [["weights and moments of a candidate", "", f"{candidate_bytes(recommender) / ids:.0f}"]]
    return (
        f"{rows:,} rows with integer ids of {data.num_users - 1:,} users and {data.num_items - 1:,} items, and "
        "BiasedMF (64).\n\n" + table(["bytes", "a row", "a user or item"], lines)
    )


def packed_bytes(value: object) -> int:
    """Return the bytes in which an executor shares a value."""
    packed = pack(value)
    return len(packed.payload) + sum(array.nbytes for array in packed.arrays)


def candidate_bytes(recommender: Recommender) -> float:
    """Return the bytes that a candidate takes in compiled training."""
    table_of = matched_table(recommender.configure_optimizers(), recommender)
    return measured(lambda: [fused(recommender, table_of) for _ in range(_MANY)]).memory / _MANY


def rates_table(tables: Sequence[Tables], losses: Sequence[Loss], rows: int, repetitions: int) -> str:
    """Return the table of seconds and bytes, by the way of training and the numbers of users and items."""
    lines = []
    for size in tables:
        drawn = PopularInteractions(num_users=size.users, num_items=size.items, num_interactions=2 * rows)
        drawn.setup()
        for way in WAYS:
            lines.append([way.name, size.title, *_cells(way, size, drawn.rows["train"], losses, rows, repetitions)])
            print(lines[-1], flush=True)
    header = [
        "candidates by",
        "users and items",
        "microseconds a row and candidate",
        "microseconds a row, once a group",
    ]
    header += ["microseconds a reward row and candidate", "ms a candidate", "ms once a group"]
    return (
        f"BiasedMF (64), Adam, batch {BUDGET.batch_size:,}, one epoch, in processor time, the least of {repetitions} "
        f"repetitions, since other work on the machine only adds to it. Fitted to trainings of 1 and {_MANY} "
        f"candidates on {rows // 3:,} and {rows:,} rows (a tenth of them for a Trainer each).\n\n"
        + table(header, lines)
    )


def _cells(way: Way, size: Tables, drawn: Batch, losses: Sequence[Loss], rows: int, repetitions: int) -> Sequence[str]:
    most = max(2 * BUDGET.batch_size, int(way.share * rows))
    few = most // 20
    sizes = [*grid(way.candidates, (most // 3, most), (few,)), Sizes(1, most // 3, most // 2)]
    _cost(way, size, drawn, losses, sizes[0])
    costs = [[_cost(way, size, drawn, losses, each) for each in sizes] for _ in range(repetitions)]
    terms = [term for term in _TERMS if len(way.candidates) > 1 or term in ("call", "candidate and row", _TERMS[-1])]
    least = [min(each.seconds for each in same) for same in zip(*costs, strict=True)]
    seconds = fitted(sizes, least, terms)
    return [
        *(f"{1e6 * seconds[name]:.3f}" if name in seconds else "" for name in ("candidate and row", "row", _TERMS[-1])),
        *(f"{1e3 * seconds[name]:.0f}" if name in seconds else "" for name in ("candidate", "call")),
    ]


def _cost(way: Way, size: Tables, drawn: Batch, losses: Sequence[Loss], sizes: Sizes) -> Cost:
    train = Batch(*(column[: sizes.rows] for column in drawn))
    data = GivenInteractions(train, batch_size=BUDGET.batch_size, seed=_SEED)
    data.rows["validation"] = Batch(*(column[-sizes.reward_rows :] for column in drawn))
    torch.manual_seed(_SEED)
    adam = partial(torch.optim.Adam, lr=BUDGET.learning_rate, fused=True)
    recommender = BiasedMF(size.users + 1, size.items + 1, optimizer=adam, init_std=BUDGET.init_std)
    group = tuple(losses[: sizes.candidates])
    assignment = Assignment(group, tuple(loss.title for loss in group), _SEED)
    return measured(lambda: way.evaluator(data).evaluate(recommender, assignment))


def orders_table(counts: Sequence[int]) -> str:
    """Return the table of what drawing an epoch's order takes."""
    lines = []
    for rows in counts:
        index = torch.arange(rows)
        loader = BatchLoader(Batch(index, index.clone(), index.float()), _EPOCH_ROWS, shuffle=True, seed=_SEED)
        cost = measured(lambda each=loader: sum(len(batch.user) for batch in each))  # type: ignore[misc]
        lines.append([f"{rows:,}", f"{1e6 * cost.seconds / rows:.3f}", f"{cost.memory / rows:.0f}"])
        print(lines[-1], flush=True)
    return "An epoch's order, and the rows in it, are drawn once for all candidates of a group.\n\n" + table(
        ["rows", "microseconds a row", "bytes a row"], lines
    )


if __name__ == "__main__":
    main()
