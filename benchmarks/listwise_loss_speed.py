"""What listwise losses cost beside a logsumexp of the same scores: ``python -m benchmarks.listwise_loss_speed``."""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common.interleaved_runs import Times, in_turn
from benchmarks.common.report import table, write_report
from lightning_modules import losses
from lightning_modules.losses import ListwiseLoss, ScoredBatch

NUM_USERS, NUM_ITEMS, DIMENSIONS = 5_000, 8_000, 64
ALONE = "`logsumexp` alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024, help="positives a batch")
    parser.add_argument("--negatives", type=int, nargs="+", default=[128, 1000])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    times = {
        count: measure(options.rows, count, options.repeats, torch.Generator().manual_seed(options.seed))
        for count in options.negatives
    }
    write_report("listwise_loss_speed", title="Cost of listwise losses", parts=report(times, options.rows))


def measure(rows: int, negatives: int, repeats: int, generator: torch.Generator) -> Times:
    """Time the forward and backward pass of every loss, one right after the other, in seconds of the processor."""
    batch = scored(rows, negatives, generator)
    runs: dict[str, Callable[[], object]] = {
        ALONE: partial(step, lambda each: torch.logsumexp(each.negative, dim=1), batch)
    }
    for loss in every_loss():
        loss.prepare(torch.arange(NUM_USERS), torch.arange(NUM_USERS), NUM_USERS, NUM_ITEMS)
        runs[f"`{loss.title}`"] = partial(step, loss.of_batch, batch)
    for run in runs.values():
        run()
    return in_turn(runs, repeats, time.process_time)


def every_loss() -> list[ListwiseLoss]:
    """Return every listwise loss, with cosines' temperatures."""
    plain: list[ListwiseLoss] = [losses.SampledBPR(0.1), losses.SampledBCE(0.1), losses.CCL(), losses.SampledWARP()]
    softmax: list[ListwiseLoss] = [losses.SampledSoftmax(), losses.BSL(), losses.BSL(pool_positives=True)]
    pairwise: list[ListwiseLoss] = [losses.PSL("tanh"), losses.PSL("relu"), losses.PSL("atan")]
    return [*softmax, *pairwise, losses.SLatK(), losses.Talos(), *plain, losses.DirectAU()]


def scored(rows: int, negatives: int, generator: torch.Generator) -> ScoredBatch:
    """Return a batch of cosines whose scores and vectors take gradients."""
    vectors = F.normalize(torch.randn(2, rows, DIMENSIONS, generator=generator), dim=2)
    user, item = (each.clone().requires_grad_() for each in vectors)
    negative = 2 * torch.rand(rows, negatives, generator=generator) - 1
    return ScoredBatch(
        user=torch.randint(NUM_USERS, (rows,), generator=generator),
        item=torch.randint(NUM_ITEMS, (rows,), generator=generator),
        positive=vectors.prod(0).sum(1).requires_grad_(),
        negative=negative.requires_grad_(),
        log_q=torch.zeros(0),
        user_vector=user,
        item_vector=item,
    )


def step(loss: Callable[[ScoredBatch], Tensor], batch: ScoredBatch) -> None:
    """Compute a loss and the gradients of what it depends on."""
    inputs = (batch.positive, batch.negative, batch.user_vector, batch.item_vector)
    torch.autograd.grad(loss(batch).mean(), inputs, allow_unused=True)


def report(times: dict[int, Times], rows: int) -> list[str]:
    """Return the table and what it was measured on."""
    names = next(iter(times.values()))[0]
    header = ["loss", *(text for count in times for text in (f"{count} negatives, ms", "ratio"))]
    lines = [[name, *(text for each in times.values() for text in _cells(each, name))] for name in names]
    return [
        f"Forward and backward pass of {rows:,} positives in single precision, milliseconds of one core's time, the "
        f"median of {len(next(iter(times.values())))} turns; ratios to {ALONE}, turn by turn, with the lowest and "
        "highest of the middle half.",
        table(header, lines),
    ]


def _cells(times: Times, name: str) -> list[str]:
    ratios = [each[name] / each[ALONE] for each in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    spent = statistics.median(each[name] for each in times)
    return [f"{1e3 * spent:.2f}", f"{middle:.2f} ({low:.2f} to {high:.2f})"]


if __name__ == "__main__":
    main()
