"""What the warm-up teaches: shares of right-direction and distinct draws, update by update, over several seeds.

python -m benchmarks.warm_up
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from lightning_modules.losses import Numerics
from lightning_modules.search.screening import Screening
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies import PPO

STEP = 5


def curve(seed: int, updates: int) -> list[dict[str, float]]:
    """Return the figures of every update."""
    space, generator = SearchSpace(), torch.Generator().manual_seed(seed)
    screening = Screening(space, Numerics(), torch.Generator().manual_seed(seed))
    start = time.process_time()
    warm_up = PPO(space, generator).warm_up(screening, updates)
    return [figures | {"seconds": time.process_time() - start} for figures in warm_up]


def main(updates: int = 80, seeds: Sequence[int] = (1, 2, 3, 42)) -> None:
    """Measure and write the table.

    Args:
        updates: Updates of the warm-up.
        seeds: Seeds of the controller, its draws and the probe.
    """
    torch.set_num_threads(1)
    curves = {seed: curve(seed, updates) for seed in seeds}
    rows = []
    for update in range(STEP, updates + 1, STEP):
        points = [figures[update - 1] for figures in curves.values()]
        cells = [f"{point['right_share']:.0%} / {point['distinct']:.0%}" for point in points]
        rows.append([str(update), *cells, f"{sum(point['seconds'] for point in points) / len(points):.1f}"])
    configs = [
        f"`{path}`: {yaml.safe_load(path.read_text())['search']['warmup_updates']} updates"
        for path in sorted(Path("configs/search").glob("*.yaml"))
    ]
    write_report(
        "warm_up",
        title="Warm-up on screening alone",
        parts=[
            "Share of the controller's 1,024 draws with at least 60 % right gradient signs / share of those with a "
            "gradient of their own; uniform draws: 0.2 %. One core, no training. "
            "Processor seconds are the mean of the seeds; they are longer on a busy machine, whose caches are shared.",
            table(["update", *(f"seed {seed}" for seed in seeds), "processor seconds"], rows),
            "Shipped configurations: " + "; ".join(configs) + ".",
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
