"""From how many workers on the driver is the bound: ``python -m benchmarks.driver_bound``.

The search command with PPO, in which nothing but the trainings is left out: workers of a stated speed are simulated on
a clock of their own, which counts the driver's processor time and the time that it waits for them.
"""

import argparse
from collections.abc import Sequence

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from benchmarks.common.simulated_search import Simulation, WarmUp, simulate

SPEEDS = (1.0, 10.0, 100.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, nargs="+", default=[20, 100, 400], help="candidates a round")
    parser.add_argument("--speeds", type=float, nargs="+", default=SPEEDS, help="seconds a candidate")
    parser.add_argument("--reward_rows", type=int, nargs="+", default=[10_000, 1_000_000, 8_000_000])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--warmup_updates", type=int, default=65)
    options = parser.parse_args()
    settle()
    arguments = [f"--search.warmup_updates={options.warmup_updates}"]
    settings = {"rounds": options.rounds, "arguments": arguments}
    few, *more = options.reward_rows
    with WarmUp().shared():
        alone = [simulate(count, count, 1.0, reward_rows=few, **settings) for count in options.candidates]
        bounds = [
            simulate(one.candidates, even(one, speed), speed, reward_rows=few, **settings)
            for one in alone
            for speed in options.speeds
        ]
        first = options.candidates[0]
        larger = [simulate(first, first, 1.0, reward_rows=rows, **settings) for rows in more]
    parts = [parts_table(alone, few), bounds_table(alone, bounds), rows_table([alone[0], *larger], options.reward_rows)]
    write_report("driver_bound", title="From how many workers on the driver is the bound", parts=parts)


def even(alone: Simulation, speed: float) -> int:
    """Return the number of workers that train for as long as the driver computes, one for each candidate at most."""
    return min(alone.candidates, max(1, round(alone.even_workers(speed))))


def parts_table(alone: Sequence[Simulation], reward_rows: int) -> str:
    """Return the driver's time by parts."""

    def row(name: str, seconds: Sequence[float]) -> list[str]:
        each = [1e3 * second / one.candidates for second, one in zip(seconds, alone, strict=True)]
        return [name, *(f"{milliseconds:.1f}" for milliseconds in each)]

    rows = [row(name, [one.parts[name] for one in alone]) for name in alone[0].parts]
    rows += [row("**all**", [one.busy for one in alone])]
    rows += [["**seconds a round**", *(f"{one.busy:.2f}" for one in alone)]]
    return (
        f"Rewards measured on {reward_rows:,} rows. The driver's milliseconds of processor time a candidate, by "
        "candidates a round:\n\n"
        + table(["part", *(str(one.candidates) for one in alone)], rows)
        + "\n\nA call takes "
        + f"{alone[0].sent:,.0f} bytes, its result {alone[0].received:,.0f} (medians). A round draws the next "
        "formulas when all candidates of the one before are trained, so that the first two parts and the last ones "
        "happen while all workers wait."
    )


def bounds_table(alone: Sequence[Simulation], bounds: Sequence[Simulation]) -> str:
    """Return the number of workers at which the driver takes as long as they do."""
    by_candidates = {one.candidates: one for one in alone}

    def row(one: Simulation) -> list[str]:
        workers = by_candidates[one.candidates].even_workers(one.speed)
        return [
            f"{one.candidates}",
            f"{one.speed:g}",
            f"{workers:,.0f}" + (" (more than candidates)" if workers > one.candidates else ""),
            f"{one.workers}",
            f"{one.round:.2f}",
            f"{one.share:.0%}",
            f"{one.use:.0%}",
        ]

    header = [
        "candidates a round",
        "seconds of a worker a candidate",
        "workers that take as long as the driver",
        "simulated workers",
        "seconds a round",
        "of which the driver computes",
        "of their time workers train",
    ]
    return (
        "Workers that take as long for a round as the driver does: candidates a round x seconds a candidate / the "
        "driver's seconds a round. With so many, half of a round is the driver's, less what it does while they train. "
        "More workers than candidates a round have nothing to do, so that at most that many are simulated.\n\n"
        + table(header, [row(one) for one in bounds])
    )


def rows_table(simulations: Sequence[Simulation], reward_rows: Sequence[int]) -> str:
    """Return what the rows cost the driver that rewards are measured on."""
    rows = [
        [
            f"{count:,}",
            f"{one.received:,.0f}",
            *(f"{1e3 * one.parts[name] / one.candidates:.1f}" for name in ("send and receive", "standard errors")),
        ]
        for count, one in zip(reward_rows, simulations, strict=True)
    ]
    header = ["reward rows", "bytes of a result", "ms a candidate: send and receive", "ms: standard error"]
    return (
        "A result holds the contribution of every reward row to the AUC, from which the driver computes the standard "
        f"error of the difference to the baseline; {simulations[0].candidates} candidates a round.\n\n"
        + table(header, rows)
    )


if __name__ == "__main__":
    main()
