"""What ledger and states cost: ``python -m benchmarks.search_overhead --data.root data/ml100k01-1-5``.

The search command with PPO on biased matrix factorisation (batch 128, one epoch a trial), with its
calls of the ledger and the states timed.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.commands import run_command, settle
from benchmarks.common.report import table, write_report
from benchmarks.common.stopwatch import Span, inside, timed, total
from lightning_modules.search.ledger import Ledger, read_trials
from lightning_modules.search.loss_search import LossSearch
from lightning_modules.search.snapshots import SNAPSHOTS_NAME, Snapshots

CONFIG = "configs/search/ml100k_biased_mf.yaml"
TRIAL = [
    *("--data.batch_size", "128", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"),
    # One training a trial, and nothing after the last round.
    *("--search.tuning", "null", "--search.normalize_scale", "false", "--search.population", "1"),
    *("--search.finalists", "0"),
]
ARMS: Mapping[str, Sequence[str]] = {
    "one trial at a time": [],
    "two workers": ["--search.executor", "process", "--search.workers", "2"],
    "population of 20": ["--search.population", "20"],
}
LARGEST_SHARE = 0.03
_TIMED = ((LossSearch, "_round"), (Ledger, "record"), (Ledger, "on_candidate"), (Snapshots, "offer"))


@dataclass(frozen=True)
class Outcome:
    """One search.

    Attributes:
        rounds: When its rounds were.
        ledger: Calls that wrote trials and candidates.
        states: Calls that wrote a state, or found that it was not time to.
        trials: Seconds of all trials of the rounds.
        state_bytes: Size of the last state.
    """

    rounds: Sequence[Span]
    ledger: Sequence[Span]
    states: Sequence[Span]
    trials: float
    state_bytes: int

    def shares(self, calls: Sequence[Span]) -> list[float]:
        """Return the share of every round that calls took."""
        return [total(inside(calls, each)) / each.seconds for each in self.rounds]

    @property
    def share(self) -> float:
        """The share of all rounds together that ledger and states took."""
        own = sum(total(inside([*self.ledger, *self.states], each)) for each in self.rounds)
        return own / total(self.rounds)

    def row(self, name: str) -> list[str]:
        """Return a line of the table."""
        calls, offers = _milliseconds(self.ledger), _milliseconds(self.states)
        return [
            name,
            f"{statistics.median(each.seconds for each in self.rounds):.2f}",
            f"{self.trials / total(self.rounds):.0%}",
            f"{statistics.median(calls):.1f} ({max(calls):.1f}) x {len(calls) / len(self.rounds):.0f}",
            f"{_percent(self.shares(self.ledger))}",
            f"{max(offers):.0f}",
            f"{_percent(self.shares(self.states))}",
            f"{self.state_bytes:,}",
            f"**{self.share:.2%}**",
        ]


def search(data_root: Path, arguments: Sequence[str], rounds: int, warmup_updates: int, seed: int) -> Outcome:
    """Run one search in a folder of its own, which is removed."""
    with tempfile.TemporaryDirectory() as folder, timed(*_TIMED) as (finished, records, candidates, offers):
        options = ["--data.root", str(data_root), *TRIAL, *arguments]
        options += ["--search.rounds", str(rounds), "--search.warmup_updates", str(warmup_updates)]
        options += ["--search.references=[]"]
        options += ["--seed_everything", str(seed), "--search.root", folder]
        run_command(["search", "--config", CONFIG, *options])
        trials = [each.seconds for place, each in read_trials(folder).items() if place.kind == "candidate"]
        states = max((Path(folder) / SNAPSHOTS_NAME).iterdir())
        ledger = [call for call in [*records, *candidates] if call.begin >= finished[0].begin]
        return Outcome(finished, ledger, offers, sum(trials), states.stat().st_size)


def report(outcomes: Mapping[str, Outcome], rounds: int, warmup_updates: int) -> list[str]:
    """Return the table and what is required."""
    header = [
        "trials",
        "seconds a round",
        "seconds of trials / those of rounds",
        "ms a write to the ledger (slowest) x writes a round",
        "ledger, share of a round",
        "ms of the slowest state",
        "states, share of a round",
        "bytes of the last state",
        "both, share of all rounds",
    ]
    largest = max(outcome.share for outcome in outcomes.values())
    return [
        f"{CONFIG} with batch 128 and one epoch a trial; {warmup_updates} warm-up updates, {rounds} "
        "rounds of 20 candidates. Shares of a round are medians (smallest to largest). A state is written when the "
        "search has spent 50 times longer than the last writing took, and after the last round.",
        table(header, [outcome.row(name) for name, outcome in outcomes.items()]),
        f"Required is less than {LARGEST_SHARE:.0%}: {'reached' if largest < LARGEST_SHARE else 'missed'}.",
    ]


def _milliseconds(calls: Sequence[Span]) -> list[float]:
    return [1e3 * call.seconds for call in calls]


def _percent(shares: Sequence[float]) -> str:
    return f"{statistics.median(shares):.2%} ({min(shares):.2%} to {max(shares):.2%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data.root", dest="root", type=Path, required=True, help="folder in the published layout")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--warmup_updates", type=int, default=80)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    settle()
    outcomes = {}
    for name in options.arms:
        outcomes[name] = search(options.root, ARMS[name], options.rounds, options.warmup_updates, options.seed)
        print(f"{name}: {outcomes[name].share:.2%} of {total(outcomes[name].rounds):.0f} s", flush=True)
    parts = report(outcomes, options.rounds, options.warmup_updates)
    write_report("search_overhead", title="What ledger and states cost", parts=parts)


if __name__ == "__main__":
    main()
