"""How fast transitions are stored and drawn beside the published replay; a part of :mod:`benchmarks.agent_speed`."""

from collections.abc import Callable

import numpy as np
import torch

from benchmarks import published_agent as published
from benchmarks.report import table
from benchmarks.turns import Times, in_turn, median, ratios
from datamodules.transitions import Transition
from lightning_modules.agents import ReplayBuffer

PASSES, SAMPLES = 2, 20


def published_replay(experience: Transition) -> published.Replay:
    """Return the published replay, full of the experience."""
    columns = published_columns(experience)
    replay = published.Replay(len(experience.done), columns[0].shape[1], columns[1].shape[1])
    for held, column in zip(replay.columns.values(), columns, strict=True):
        held[:] = column
    replay.size = replay.capacity
    return replay


def published_columns(experience: Transition) -> list[np.ndarray]:
    """Return the columns of the experience as the published replay holds them."""
    state = torch.cat([experience.categorical, experience.numerical], dim=1)
    next_state = torch.cat([experience.next_categorical, experience.next_numerical], dim=1)
    columns = (state, experience.action, next_state, experience.reward, experience.done.float())
    return [column.numpy() for column in columns]


def replay_report(experience: Transition, batch_size: int, repeats: int) -> list[str]:
    """Return the table of the replays alone."""
    runs = {
        "storing": storing_times(experience, batch_size, repeats),
        "sampling": sampling_times(experience, batch_size, repeats),
    }
    names = {
        "storing": f"storing {PASSES * len(experience.done):,} transitions, s",
        "sampling": f"sampling {batch_size:,} of them, ms",
    }
    lines = []
    for kind, times in runs.items():
        unit = 1 if kind == "storing" else 1e3 / SAMPLES
        spent = [median([unit * each[name] for each in times]) for name in ("published", "ours")]
        lines.append([names[kind], *spent, f"**{median(ratios(times, 'ours'))}**"])
    return [
        table(["replay alone", "published", "ours", "ratio"], lines),
        f"The published one stores them one by one, ours in batches of {batch_size:,}; both hold the last "
        f"{len(experience.done):,}.",
    ]


def storing_times(experience: Transition, batch_size: int, repeats: int) -> Times:
    """Return the seconds in which new replays take the experience in, twice."""
    columns, capacity = published_columns(experience), len(experience.done)

    def theirs() -> None:
        replay = published.Replay(capacity, columns[0].shape[1], columns[1].shape[1])
        for _ in range(PASSES):
            for row in zip(*columns, strict=True):
                replay.store(*row)

    def ours() -> None:
        replay: ReplayBuffer[Transition] = ReplayBuffer(capacity)
        for _ in range(PASSES):
            for start in range(0, capacity, batch_size):
                replay.store(Transition(*(column[start : start + batch_size] for column in experience)))

    return in_turn({"published": theirs, "ours": ours}, repeats)


def sampling_times(experience: Transition, batch_size: int, repeats: int) -> Times:
    """Return the seconds of many draws from full replays."""
    theirs, generator = published_replay(experience), torch.Generator()
    ours: ReplayBuffer[Transition] = ReplayBuffer(len(experience.done))
    ours.store(experience)
    runs: dict[str, Callable[[], object]] = {
        "published": lambda: [theirs.sample(batch_size) for _ in range(SAMPLES)],
        "ours": lambda: [ours.sample(batch_size, generator) for _ in range(SAMPLES)],
    }
    return in_turn(runs, 1 + repeats)[1:]
