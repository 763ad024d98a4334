"""Small runs of the benchmarks of scale, and what they make of their figures."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import driver_bound, reward_samples, scale_rates
from benchmarks.common import report
from benchmarks.common.simulated_search import OTHER, PARTS, Simulation
from benchmarks.driver_bound import even
from benchmarks.reward_samples import Arm, agreement, agreements, arms_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def command(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "benchmarks" / f"{name}.py"), *arguments])


def rewards(*values: float) -> pd.Series:
    return pd.Series(values, index=list("abcdefghij")[: len(values)])


def test_rewards_agree_with_themselves_and_not_with_their_opposites() -> None:
    whole = rewards(0.1, 0.5, 0.3, 0.2, 0.4, 0.9, 0.8, 0.7, 0.6, 0.0)
    assert agreement(whole[::-1], whole) == pytest.approx((1, 1, 1, 1, 1, 0))
    assert agreement(-whole, whole) == pytest.approx((-1, -1, -1, -1, 0, 0.9))


def test_the_best_are_those_by_all_rows() -> None:
    whole = rewards(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
    found = agreement(rewards(0.7, 0.8, 0.9, 0.6, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0), whole)
    # Of the best four the first and the third have changed places: 1 - 6 * 8 / (4 * 15), and 3 of 6 pairs.
    assert found.spearman_best == pytest.approx(0.2)
    assert found.kendall_best == pytest.approx(0.0)
    assert found.top == pytest.approx(0.8)
    assert found.lost == pytest.approx(0.2)


def test_seeds_are_compared_with_each_other_alone() -> None:
    whole = Arm(1.0, "rows", 1)
    seeds = {1: (3.0, 2.0, 1.0, 0.0, 5.0), 2: (0.0, 1.0, 2.0, 3.0, 5.0)}
    frames = [
        pd.DataFrame({**whole._asdict(), "seed": seed, "loss": list("abcde"), "reward": values})
        for seed, values in seeds.items()
    ]
    both = agreements(pd.concat(frames), whole, whole)
    assert [each.spearman for each in both] == pytest.approx([1 - 6 * 20 / (5 * 24)] * 2)


def test_all_rows_come_first_and_once() -> None:
    assert arms_of([0.1, 1.0], [3, 1]) == [
        Arm(1.0, "rows", 1),
        *(Arm(0.1, sampling, epochs) for sampling in ("users", "rows") for epochs in (3, 1)),
    ]


def test_a_small_run_of_reward_samples_goes_on_where_it_was(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, "reward_samples")
    small = {"users": 200, "items": 100, "rows": 6000, "shares": [0.3], "epochs": [1], "formulas": 0}
    reward_samples.main(**small)
    text = (results / "reward_samples_6000.md").read_text(encoding="utf-8")
    assert "| all rows, 1 epoch | 4,800 | 200 |" in text
    assert "| 30 %, rows at random, 1 epoch | 1,440 |" in text
    assert "| 30 %, users at random, 1 epoch |" in text
    monkeypatch.setattr(reward_samples.SampleRewards, "_trained", None)
    reward_samples.main(**small)
    assert (results / "reward_samples_6000.md").read_text(encoding="utf-8").split("\n")[5:] == text.split("\n")[5:]


def simulation(candidates: int, busy: float) -> Simulation:
    return Simulation(candidates, 1, 1.0, 100.0, busy, {}, 0, 0)


def test_no_more_workers_are_simulated_than_candidates() -> None:
    assert even(simulation(100, 2.0), 1.0) == 50
    assert even(simulation(100, 2.0), 10.0) == 100
    assert even(simulation(100, 200.0), 1.0) == 1


def test_a_small_run_of_driver_bound(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ["--candidates=3", "--speeds=1000", "--rounds=2", "--warmup_updates=5"]
    command(monkeypatch, "driver_bound", *sizes, "--reward_rows", "10", "1000")
    ran: list[Simulation] = []
    simulate = driver_bound.simulate

    def noted(*arguments: object, **options: object) -> Simulation:
        ran.append(simulate(*arguments, **options))  # type: ignore[arg-type]
        return ran[-1]

    monkeypatch.setattr(driver_bound, "simulate", noted)
    driver_bound.main()
    alone, slow, more = ran
    assert (slow.workers, slow.speed) == (3, 1000.0)
    assert slow.round == pytest.approx(1000.0 + slow.busy, rel=1e-3)
    assert slow.use == pytest.approx(1.0, abs=0.01)
    assert {*alone.parts} == {*PARTS, OTHER}
    assert sum(alone.parts.values()) == pytest.approx(alone.busy)
    assert more.received - alone.received == pytest.approx(4 * (1000 - 10), abs=50)
    assert "| 3 | 1000 |" in (results / "driver_bound.md").read_text(encoding="utf-8")


def test_a_small_run_of_scale_rates(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, "scale_rates", "--rows=8000", "--order_rows=1000", "--tables=1", "--repetitions=1")
    scale_rates.main()
    text = (results / "scale_rates.md").read_text(encoding="utf-8")
    assert "| in memory | 20.0 |  |" in text
    # 64 weights and a bias in single precision.
    assert "| initial weights, to a worker or a node, once |  | 26" in text
    assert text.count("20,000 and 10,000") == 2
