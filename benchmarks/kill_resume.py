"""Kills a running search a hundred times: ``python -m benchmarks.kill_resume``.

A small search is killed with SIGKILL, SIGTERM and SIGINT in turn at random moments and goes on every time, until it is
finished; then another one is begun. All of them are compared with one that nobody killed.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.commands import settle
from benchmarks.common.fork_server import ForkServer
from benchmarks.common.killing import STATUSES, Kill, Killer
from benchmarks.common.report import table, write_report
from benchmarks.common.running_commands import FreshCommand, Start

SEARCH = [
    *("search", "--data=SyntheticInteractions", "--data.num_users=100", "--data.num_items=80"),
    *("--data.num_interactions=4000", "--model=BiasedMF", "--model.embedding_dim=8"),
    *("--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--search.strategy=PPO", "--search.alternate=true"),
    *("--search.strategy.warmup_draws=256", "--search.strategy.warmup_uniform=256", "--search.warmup_updates=4"),
    *("--search.strategy.warmup_steps=2", "--search.strategy.imitation_batch=32", "--search.strategy.hidden_size=16"),
    *("--search.rounds=3", "--search.candidates=6", "--search.draws=256", "--search.top=1"),
]
EXECUTORS = {"serial": 1, "process": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--processes", choices=["forked", "fresh"], default="forked", help="fresh ones import anew")
    parser.add_argument("--executor", choices=list(EXECUTORS), default="serial")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settle()
    workers = EXECUTORS[options.executor]
    arguments = [*SEARCH, f"--search.executor={options.executor}", f"--search.workers={workers}"]
    with tempfile.TemporaryDirectory() as folder, starter(options.processes) as start:
        killer = Killer(start, Path(folder), arguments, options.seed)
        seconds = killer.run_whole()
        log = []
        for kill in killer.kill(options.kills, seconds):
            log.append(kill)
            print(kill, flush=True)
        differences, studies = killer.differences(), len(killer.studies)
    name = "kill_resume" if options.executor == "serial" else f"kill_resume_{options.executor}"
    parts = report(log, differences, studies, seconds, workers, options.processes)
    write_report(name, title="A search that is killed and goes on", parts=parts)


@contextmanager
def starter(processes: str) -> Iterator[Start]:
    """Return what starts searches: new interpreters, or forks of one that has imported everything."""
    if processes == "fresh":
        yield FreshCommand
        return
    server = ForkServer()
    try:
        yield server
    finally:
        server.close()


def report(
    log: Sequence[Kill], differences: Sequence[str], studies: int, seconds: float, workers: int, processes: str
) -> list[str]:
    """Return the verdict, a table by signal and the log of all deaths."""
    rows = [_row(number, kill) for number, kill in enumerate(log, start=1)]
    return [
        _description(studies, seconds, processes),
        _verdict(log, differences, studies, workers),
        _by_signal(log),
        "Every death. Trials: finished ones on disk after it. Lost: trainings that were begun and are not on disk, "
        "which are begun anew.",
        table(["death", "study", "signal", "second", "exit status", "trials", "lost"], rows),
    ]


def _description(studies: int, seconds: float, processes: str) -> str:
    forked = ": one that has imported everything forks, since imports take longer than this search"
    return (
        "A search of 3 rounds of 6 candidates (PPO, alternating, seven hand-made losses; BiasedMF on synthetic data), "
        f"which takes {seconds:.1f} s when nobody kills it, the faster time of two. Signals come in turn, each at a "
        "moment drawn uniformly from the first as many seconds of a process; a process that finishes its study before "
        f"that moment is followed by a new study ({studies} in all). Processes are {processes}"
        f"{forked if processes == 'forked' else ''}."
    )


def _verdict(log: Sequence[Kill], differences: Sequence[str], studies: int, workers: int) -> str:
    wrong = sum(not kill.in_order for kill in log)
    most = max(kill.lost for kill in log)
    same = f"{len(differences)}, the first {differences[0]}" if differences else "none"
    good = not wrong and not differences and most <= workers
    return (
        f"Differences of the {studies} studies from one that nobody killed, in ledger, formulas.csv and newest state, "
        f"bit for bit, wall times left out: **{same}**. Most trainings lost by a death: {most}, where {workers} run at "
        f"a time. Deaths with another exit status than the signal's, or that left a process behind: {wrong}. "
        f"Required none, at most {workers}, and 0: {'reached' if good else 'missed'}."
    )


def _by_signal(log: Sequence[Kill]) -> str:
    rows = []
    for number in STATUSES:
        deaths = [kill for kill in log if kill.number is number]
        statuses = Counter(kill.status for kill in deaths)
        lost = sum(kill.lost for kill in deaths)
        written = ", ".join(f"{status} ({count})" for status, count in statuses.most_common())
        rows.append([number.name, str(len(deaths)), written, str(lost)])
    return table(["signal", "deaths", "exit status", "trainings lost"], rows)


def _row(number: int, kill: Kill) -> list[str]:
    numbers = [f"{kill.moment:.2f}", str(kill.status), str(kill.trials), str(kill.lost)]
    return [str(number), str(kill.study), kill.number.name, *numbers]


if __name__ == "__main__":
    main()
