"""How many formulas a second one core draws and screens: ``python -m benchmarks.screening_rate``."""

import argparse
import statistics
import time
from typing import NamedTuple

import torch

from benchmarks.common.report import table, write_report
from lightning_modules.losses import Numerics
from lightning_modules.search.screening import Screening
from lightning_modules.search.space import RankingSpace, SearchSpace
from lightning_modules.search.strategies.controller import Controller

#: The published code on one core: proposals an hour of its whole search, and seconds to draw and probe one of them.
PUBLISHED_PER_HOUR = 20_300
PUBLISHED_DRAW_AND_PROBE = 8.9e-3 + 1.1e-3
REQUIRED_PER_SECOND = 10_000


#: The spaces, with the name and title of the report and what is derived by what.
SPACES = {
    "predictions": (
        SearchSpace,
        "screening_rate",
        "Drawing and screening formulas",
        "gradients on 20 predictions with both labels",
    ),
    "scores": (
        RankingSpace,
        "screening_rate_of_scores",
        "Drawing and screening formulas of scores",
        "gradients by all scores of ten rows of 1, 8 and 64 negatives",
    ),
}


class Times(NamedTuple):
    """Seconds of processor time that a batch took to be drawn and to be screened."""

    draw: float
    screen: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", choices=SPACES, default="predictions", help="formulas of what")
    parser.add_argument("--draws", type=int, default=2048, help="programs a batch")
    parser.add_argument("--batches", type=int, default=50, help="batches to measure, after one that is not counted")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kind, name, title, derived = SPACES[options.space]
    space = kind()
    times = measure(space, options.draws, options.batches, options.seed)
    parts = report(times, options.draws, space, derived)
    write_report(name, title=title, parts=parts)


def measure(space: SearchSpace, draws: int, batches: int, seed: int) -> list[Times]:
    """Time the controller and the screening in turn, batch after batch, as a search calls them."""
    generator = torch.Generator().manual_seed(seed)
    controller = Controller(space, generator=generator)
    screening = Screening(space, Numerics(), generator)
    screening.screen(controller.sample(draws, generator))
    return [_timed(controller, screening, draws, generator) for _ in range(batches)]


def _timed(controller: Controller, screening: Screening, draws: int, generator: torch.Generator) -> Times:
    # Of one thread: what else the machine does counts less than on the clock.
    start = time.process_time()
    programs = controller.sample(draws, generator)
    drawn = time.process_time()
    screening.screen(programs)
    return Times(drawn - start, time.process_time() - drawn)


def report(times: list[Times], draws: int, space: SearchSpace, derived: str) -> list[str]:
    """Return the table and what it was measured on."""
    together = [batch.draw + batch.screen for batch in times]
    rate = draws / statistics.median(together)
    alone = 1 / PUBLISHED_DRAW_AND_PROBE
    rows = [
        _row("Controller.draw", [batch.draw for batch in times], draws),
        _row("Screening", [batch.screen for batch in times], draws),
        _row("both, one after the other", together, draws),
        ["published code, drawing and probing alone", f"{alone:,.0f}", "", f"{alone * 3600:,.0f}"],
        ["published code, whole search", f"{PUBLISHED_PER_HOUR / 3600:.1f}", "", f"{PUBLISHED_PER_HOUR:,}"],
    ]
    return [
        f"{len(times)} batches of {draws} programs ({space.nodes} nodes, {len(space.operators)} operators, untrained "
        f"controller), each drawn and then screened: {derived}, signs, signatures and duplicates; processor time.",
        table(["", "programs a second, median", "slowest to fastest batch", "programs an hour"], rows),
        f"Required together: {REQUIRED_PER_SECOND:,} a second; "
        f"{'reached' if rate >= REQUIRED_PER_SECOND else 'missed'}. That is {rate / alone:,.0f} times the published "
        f"code's drawing and probing. Its {PUBLISHED_PER_HOUR:,} proposals an hour include the training of those that "
        "pass, which is not in the first three rows.",
    ]


def _row(name: str, seconds: list[float], draws: int) -> list[str]:
    rate = draws / statistics.median(seconds)
    spread = f"{draws / max(seconds):,.0f} to {draws / min(seconds):,.0f}"
    return [name, f"{rate:,.0f}", spread, f"{rate * 3600:,.0f}"]


if __name__ == "__main__":
    main()
