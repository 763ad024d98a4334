"""What the benchmarks of the search's speed make of ledgers, calls and processes."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from benchmarks.common.process_memory import Usage, descendants, forget_peak, largest, peak, usage
from benchmarks.common.search_course import Step, best_share, course, first_at, whole_cost
from benchmarks.common.stopwatch import Span, inside, timed, total
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.trial import Evaluation, TrialKey


def child(round_: int, kind: str, position: int, epochs: int, seconds: float) -> tuple[TrialKey, Evaluation]:
    return TrialKey(round_, kind, position, epochs, "pred"), Evaluation("trained", 0.7, seconds)


def candidate(round_: int, position: int, formula: str, reward: float, epochs: int) -> Candidate:
    return Candidate(
        round_, "candidate", formula, formula, "trained", reward, 0.7, 1.0, 1, 1.0, position=position, epochs=epochs
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"trainer": {"max_epochs": 2}, "search": {}}))
    ledger = Ledger(tmp_path)
    ledger.record([child(0, "baseline", 0, 1, 0.5), child(0, "baseline", 0, 3, 1.5), child(0, "reference", 1, 3, 9.0)])
    ledger.record(
        [child(1, "candidate", 1, 1, 1.0), child(1, "candidate", 2, 1, 1.0), child(1, "candidate", 2, 3, 3.0)]
    )
    ledger.record(
        [child(2, "candidate", 1, 1, 1.0), child(2, "candidate", 1, 3, 3.0), child(3, "candidate", 1, 0, 4.0)]
    )
    ledger.on_candidate(candidate(1, 1, "pred", 0.9, epochs=1))
    ledger.on_candidate(candidate(1, 2, "label", 0.1, epochs=3))
    ledger.on_candidate(candidate(2, 1, "pred * label", 0.05, epochs=3))
    ledger.on_candidate(candidate(3, 1, "pred + label", 0.2, epochs=3))
    ledger.on_end()
    return tmp_path


def test_course_has_the_rounds_that_changed_the_best_formula_and_what_they_had_cost(study: Path) -> None:
    assert course(study) == [Step(1, 7.0, 9, "label"), Step(3, 15.0, 15, "pred + label")]


def test_whole_cost_leaves_out_reference_losses_only(study: Path) -> None:
    assert whole_cost(study) == (15.0, 15)


def test_best_share_is_evenly_spaced_in_the_ranking(study: Path) -> None:
    assert best_share(study, 1.0, 2) == ["pred + label", "pred"]
    assert best_share(study, 0.5, 9) == ["pred + label", "label"]
    assert best_share(study, 0.5, 0) == []


def test_first_at_is_the_first_step_of_that_level(study: Path) -> None:
    quality = {"label": 0.7, "pred + label": 0.8}.__getitem__
    first, last = course(study)
    assert first_at([first, last], 0.7, quality) == first
    assert first_at([first, last], 0.75, quality) == last
    assert first_at([first, last], 0.9, quality) is None


class Worker:
    def work(self, result: int) -> int:
        if result < 0:
            raise ValueError("negative")
        return result


def test_timed_notes_every_call_and_puts_the_method_back() -> None:
    method = Worker.work
    with timed((Worker, "work")) as (calls,):
        assert Worker().work(3) == 3
        with pytest.raises(ValueError, match="negative"):
            Worker().work(-1)
    assert len(calls) == 2
    assert Worker.work is method


def test_inside_finds_the_calls_that_began_in_a_span() -> None:
    calls = [Span(0.0, 5.0), Span(1.0, 0.25), Span(2.9, 1.0), Span(3.0, 1.0)]
    assert inside(calls, Span(1.0, 2.0)) == calls[1:3]
    assert total(calls[1:3]) == 1.25


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux counts memory like this")
def test_memory_of_processes() -> None:
    forget_peak()
    before = peak()
    # A tensor would take what an earlier command in this process has freed and kept.
    with mmap.mmap(-1, 2**27) as memory:
        torch.frombuffer(memory, dtype=torch.uint8).fill_(1)
        assert peak() - before == pytest.approx(len(memory), rel=0.05)
    waits = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        # It has started, so that it has its memory.
        process.stdout.readline()
        assert process.pid in descendants(os.getpid())
        assert usage(process.pid).resident >= usage(process.pid).proportional > 0
        process.communicate(b"\n")
    assert usage(process.pid) == Usage(0, 0)


def test_largest_is_the_moment_when_all_together_had_most() -> None:
    samples = [[Usage(9, 8)], [Usage(5, 4), Usage(7, 3), Usage(7, 2)], []]
    assert largest(samples) == (Usage(5, 4), Usage(14, 5))
    assert largest([]) == (Usage(0, 0), Usage(0, 0))


def test_a_full_training_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.common import full_trainings

    done: list[int] = []

    def train(data: object, loss: object, seed: int) -> tuple[float, float]:
        done.append(seed)
        return 0.7 + seed / 100, 0.6

    monkeypatch.setattr(full_trainings, "full_training", train)
    trainings = full_trainings.FullTrainings(tmp_path / "trainings.csv", None)  # type: ignore[arg-type]
    trainings.train("pred, label".partition(",")[0], [1])
    full = full_trainings.FullTrainings(tmp_path / "trainings.csv", None).train("pred", [1, 3])  # type: ignore[arg-type]
    assert done == [1, 3]
    assert full.validation.tolist() == pytest.approx([0.71, 0.73])
    assert full.standard_error == pytest.approx(pd.Series([0.71, 0.73]).std() / 2**0.5)
