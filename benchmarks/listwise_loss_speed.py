"""What listwise losses cost: ``python -m benchmarks.listwise_loss_speed``.

Beside a logsumexp of the same scores; and with the scores of shared negatives, from vectors to their gradients, against
scores that are computed, replaced and kept by torch's own operations.
"""

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
from lightning_modules.losses import ListwiseLoss, RankingFormulaLoss, ScoredBatch, SharedBatch

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
    shared = {
        count: measure_shared(options.rows, count, options.repeats, torch.Generator().manual_seed(options.seed))
        for count in options.negatives
    }
    parts = [*report(times, options.rows), *shared_report(shared, options.rows)]
    write_report("listwise_loss_speed", title="Cost of listwise losses", parts=parts)


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


def measure_shared(rows: int, negatives: int, repeats: int, generator: torch.Generator) -> dict[str, Times]:
    """Time both ways from vectors to their gradients for every loss, one right after the other."""
    batch, times = shared_batch(rows, negatives, generator), {}
    formula = RankingFormulaLoss("log(1 + sum(tanh(exp(gap_t))))", temperature=0.2)
    for loss in [*every_loss(), formula]:
        loss.prepare(torch.arange(NUM_USERS), torch.arange(NUM_USERS), NUM_USERS, NUM_ITEMS)
        ways: dict[str, Callable[[SharedBatch], Tensor]] = {"kept": partial(kept, loss), "shared": loss.of_shared}
        runs: dict[str, Callable[[], object]] = {name: partial(shared_step, way, batch) for name, way in ways.items()}
        for run in runs.values():
            run()
        times[f"`{loss.title}`"] = in_turn(runs, repeats, time.process_time)
    return times


def shared_batch(rows: int, negatives: int, generator: torch.Generator) -> SharedBatch:
    """Return a batch of cosines in which a fortieth of the negatives is replaced."""
    vectors = F.normalize(torch.randn(2 * rows + negatives, DIMENSIONS, generator=generator), dim=1)
    user, item, negative = (each.clone().requires_grad_() for each in vectors.split([rows, rows, negatives]))
    taken = torch.rand(rows, negatives, generator=generator) < 1 / 40
    taken[:, 0] = False
    row, place = taken.nonzero().T
    return SharedBatch(
        user=torch.randint(NUM_USERS, (rows,), generator=generator),
        item=torch.randint(NUM_ITEMS, (rows,), generator=generator),
        positive=(user * item).sum(dim=1),
        negative_vector=negative,
        replaced=torch.stack([row, place, torch.zeros_like(row)]),
        log_q=torch.zeros(0),
        user_vector=user,
        item_vector=item,
    )


def kept(loss: ListwiseLoss, batch: SharedBatch) -> Tensor:
    """Return the losses of scores that are computed, replaced and kept by torch's own operations."""
    row, place, other = batch.replaced
    scores = batch.user_vector @ batch.negative_vector.T
    scores = scores.index_put((row, place), scores[row, other])
    rows = batch.user, batch.item, batch.positive
    return loss.of_batch(ScoredBatch(*rows, scores, batch.log_q, batch.user_vector, batch.item_vector))


def shared_step(way: Callable[[SharedBatch], Tensor], batch: SharedBatch) -> None:
    """Compute a loss and the gradients of all vectors."""
    positive = (batch.user_vector * batch.item_vector).sum(dim=1)
    inputs = batch.user_vector, batch.item_vector, batch.negative_vector
    torch.autograd.grad(way(batch._replace(positive=positive)).mean(), inputs, allow_unused=True)


def shared_report(times: dict[int, dict[str, Times]], rows: int) -> list[str]:
    """Return the table of shared negatives."""
    header = ["loss", *(text for count in times for text in (f"{count} negatives, ms", "times as fast"))]
    names = next(iter(times.values()))
    lines = [[name, *(text for each in times.values() for text in _shared_cells(each[name]))] for name in names]
    return [
        f"From the vectors of {rows:,} users, items and shared negatives to their gradients, {DIMENSIONS} dimensions, "
        "a fortieth of the negatives replaced: milliseconds, and how many times as fast as with scores that torch "
        "computes, replaces and keeps.",
        table(header, lines),
    ]


def _shared_cells(times: Times) -> list[str]:
    ratios = [each["kept"] / each["shared"] for each in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return [
        f"{1e3 * statistics.median(each['shared'] for each in times):.2f}",
        f"{middle:.2f} ({low:.2f} to {high:.2f})",
    ]


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
