"""How fast transitions are stored and drawn beside the published replay; a part of :mod:`benchmarks.agent_speed`."""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.common.commands import settle
from benchmarks.common.interleaved_runs import Times, in_turn, median, rates, ratios, seconds, verdict
from benchmarks.common.report import table, write_report
from benchmarks.common.speed import count, kuairand, operators, quiet_trainer, speed_parser
from benchmarks.published import agent as published
from datamodules import ImpressionsDataModule
from datamodules.loader import BatchLoader
from datamodules.sessions.rewards import reward_function
from datamodules.sessions.transitions import LoggedTransition, Transition, logged_transitions, transitions
from lightning_modules.agents import DDPG, ReplayBuffer

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


REQUIRED = 3.0
BATCH_SIZE = 2048
MEMORY_SIZE = 500_000
ACTING_REPEATS = 20
PROFILED_UPDATES = 10
ARMS = {"critics": False, "critics and actor": True}


class MeasuredDDPG(DDPG):
    """Takes turns with the published agent in its one training step, where all that it needs to learn is set up.

    Args:
        data: What it learns from.
        experience: What both replays hold.
        learns: Whether the actor learns.
        options: Numbers of repeats and updates.
    """

    def __init__(
        self, data: ImpressionsDataModule, experience: Transition, *, learns: bool, options: argparse.Namespace
    ) -> None:
        super().__init__(
            data.field_sizes,
            data.num_numerical,
            data.tasks,
            actor={"class_path": "SharedBottom", "init_args": {"batch_norm": False}},
            critic_activation="relu",
            memory_size=len(experience.done),
            batch_size=BATCH_SIZE,
            actor_frozen=not learns,
            init_training_step=0,
        )
        sizes = published.Sizes(data.field_sizes, data.num_numerical)
        self.published = (published.Agent(sizes, learns=learns), published_replay(experience))
        self.filling, self.options = experience, options
        self.times: Times = []
        self.acting: list[float] = []
        self.profile = ""

    def training_step(self, batch: LoggedTransition, batch_idx: int) -> None:  # noqa: ARG002
        """Fill the replay and measure."""
        self.replay.store(self.filling)
        runs = {"published": self._theirs, "ours": self._ours}
        for run in runs.values():
            run(2)
        count = self.options.updates
        self.times = in_turn({name: partial(run, count) for name, run in runs.items()}, self.options.repeats)
        self.profile = profile(partial(self._ours, PROFILED_UPDATES), PROFILED_UPDATES)
        self.acting = [seconds(lambda: self.replay.store(self.experience(batch))) for _ in range(ACTING_REPEATS)]

    def _theirs(self, updates: int) -> None:
        agent, replay = self.published
        for _ in range(updates):
            agent.update(replay.sample(BATCH_SIZE))

    def _ours(self, updates: int) -> None:
        for _ in range(updates):
            self.update(self.replay.sample(self.settings.batch_size, self.generator))


def main() -> None:
    parser = speed_parser(__doc__, repeats=7)
    parser.add_argument("--updates", type=int, default=4, help="updates a repeat; even, as every other moves targets")
    options = parser.parse_args()
    if options.updates < 2 or options.updates % 2:
        parser.error(f"--updates must be even, got {options.updates}")
    settle()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002 (what the published replay draws from)
    data = kuairand(options.root)
    logged = logged_transitions(data.rows["train"])
    experience = random_experience(logged, MEMORY_SIZE)
    agents = {name: MeasuredDDPG(data, experience, learns=learns, options=options) for name, learns in ARMS.items()}
    for agent in agents.values():
        compare_sizes(agent)
        measure(agent, logged)
    parts = [*update_report(agents, options.updates), *replay_report(experience, BATCH_SIZE, options.repeats)]
    parts += [profile_report(name, agent) for name, agent in agents.items()]
    write_report("agent_speed", title="Learning speed of agents", parts=parts)


def random_experience(logged: LoggedTransition, count: int) -> Transition:
    """Return the logged transitions, again and again, each time with other random actions."""
    rows = torch.arange(count) % len(logged.done)
    repeated = LoggedTransition(*(column[rows] for column in logged))
    return transitions(repeated, torch.rand(repeated.label.shape), reward_function("log_loss"))


def compare_sizes(agent: MeasuredDDPG) -> None:
    """Make sure that both agents are of the same size.

    Raises:
        RuntimeError: If they do not have equally many parameters.
    """
    theirs, _ = agent.published
    pairs = {
        "actor": (count(agent.actor), count(theirs.actor)),
        "critics": (count(agent.critics), sum(count(each) for each in theirs.critics)),
    }
    for name, (own, others) in pairs.items():
        if own != others:
            raise RuntimeError(f"the {name} of ours has {own} parameters, and that of the published agent {others}")


def measure(agent: MeasuredDDPG, logged: LoggedTransition) -> None:
    rows = LoggedTransition(*(column[:BATCH_SIZE] for column in logged))
    quiet_trainer(max_steps=1).fit(agent, train_dataloaders=BatchLoader(rows, BATCH_SIZE))


def update_report(agents: dict[str, MeasuredDDPG], updates: int) -> list[str]:
    """Return what was measured and the table."""
    lines = []
    for name, agent in agents.items():
        each = ratios(agent.times, "ours")
        speeds = [rates(agent.times, kind, updates * BATCH_SIZE) for kind in ("published", "ours")]
        required = verdict(each, REQUIRED) if agent.settings.actor_frozen else ""
        lines.append([name, *speeds, f"**{median(each)}**", required])
    agent = agents["critics"]
    acting = f"{1e3 * min(agent.acting):.1f} to {1e3 * max(agent.acting):.1f} ms"
    sizes = f"{count(agent.critics):,} parameters of two critics, {count(agent.actor):,} of the actor"
    return [
        f"Transitions a second on one core, median of {len(agent.times)} repeats of {updates} updates of "
        f"{BATCH_SIZE:,} transitions (slowest to fastest), in turn and after a warm-up; ratios of pairs, median and "
        f"range. The replays hold {len(agent.filling.done):,} transitions of {len(agent.critics.field_sizes)} fields. "
        f"Embedding 128, bottom (512, 256), towers (128, 64), dropout 0.2 in the critics, no BatchNorm: {sizes}.",
        "The published update is a re-statement (`published_agent.py` says what of it is known). Ours is the whole "
        "`update(replay.sample(...))` of `DDPG` in a `Trainer`, with what it keeps for the log and its watch for "
        "values that are not finite. With critics alone the actor is frozen, as in the offline recipe; with the "
        "actor, it learns in every second update.",
        table(["update of", "published", "ours", "ratio", "at least"], lines),
        "Both draw a batch, value the next rows with targets, step with Adam and move the targets by 0.2 every second "
        "update. Ours draws with replacement. Its actor is a SharedBottom, which has the layers of the published ESMM; "
        "the ESMM of its paper, and ours, has a bottom for each task and takes longer. Ours sends each different "
        "category of a batch through the first layer once, so that the ratio depends on the fields.",
        f"A training step of ours also acts on its batch of {BATCH_SIZE:,} logged rows and stores them, with uniformly "
        f"random actions in {acting}.",
    ]


def profile(run: Callable[[], object], updates: int) -> str:
    """Return the table of the operators on which updates spend most time."""
    milliseconds, lines = operators(run, updates)
    return f"{milliseconds:,.0f} ms an update.\n\n" + table(["operator", "calls", "share of time"], lines)


def profile_report(name: str, agent: MeasuredDDPG) -> str:
    return (
        f"Where ours spends its time updating {name}, by torch.profiler over {PROFILED_UPDATES} updates: the ten "
        f"operators with the largest time of their own, of {agent.profile}"
    )


if __name__ == "__main__":
    main()
