"""Does a long search keep finding new formulas? One study through the search command, read from its TensorBoard run.

python -m benchmarks.novelty data/ml100k01-1-5
"""

from jsonargparse import auto_cli
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.common.commands import run_command
from benchmarks.common.report import table, write_report
from benchmarks.strategies import CONFIG

STEP = 5
TAGS = ("drawn/trainable", "drawn/duplicate", "drawn/wrong_direction", "reward/mean", "reward/above_baseline")


def main(data_root: str, rounds: int = 60, seed: int = 42, root: str = "runs/novelty") -> None:
    """Run the study and write the table.

    Args:
        data_root: Folder in the published layout.
        rounds: Rounds of twenty candidates.
        seed: Seed of the study.
        root: The study's folder.
    """
    arguments = ["search", "--config", CONFIG, "--data.root", data_root, "--seed_everything", str(seed)]
    run_command([*arguments, "--search.rounds", str(rounds), "--search.root", root])
    events = EventAccumulator(root)
    events.Reload()
    series = {tag: [event.value for event in events.Scalars(tag)] for tag in (*TAGS, "reward/best_so_far")}
    rows = []
    for start in range(0, rounds, STEP):
        means = [f"{sum(series[tag][start : start + STEP]) / STEP:.3f}" for tag in TAGS]
        rows.append([f"{start + 1}-{start + STEP}", *means, f"{series['reward/best_so_far'][start + STEP - 1]:.4f}"])
    write_report(
        "novelty",
        title="New trainable formulas over a long search",
        parts=[
            f"{CONFIG}, seed {seed}, {rounds} rounds of 20 candidates; means over {STEP} rounds. The smallest share of "
            f"new trainable formulas among a round's draws: {min(series['drawn/trainable']):.3f}.",
            table(
                ["rounds", "new trainable", "duplicate", "wrong direction", "mean reward", "better than BCE", "best"],
                rows,
            ),
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
