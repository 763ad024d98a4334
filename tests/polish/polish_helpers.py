"""Small polishes of few sessions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import SyntheticImpressions
from lightning_modules.agents import DDPG, ActorCritic
from lightning_modules.multitask import ESMM
from lightning_modules.polish import PolishSettings
from lightning_modules.polish.command import run_polish
from lightning_modules.polish.report import PolishReport

SEED = 5
RECIPE: dict[str, Any] = {"max_epochs": 3, "accelerator": "cpu", "devices": 1, "log_every_n_steps": 1}
SETTINGS: dict[str, Any] = {
    "seeds": 2,
    "agent_epochs": 1,
    "agent_rows": 64,
    "fine_tuning_epochs": 1,
    "fine_tuning_learning_rate": 1e-3,
    "resamples": 50,
}
#: All arms of the default settings, in order, the base model first.
ARMS = [
    "base",
    "fine-tuned",
    "fine-tuned, 1 - 0.7 Q",
    "fine-tuned, -label Q",
    "fine-tuned, -Q",
    "from scratch, 1 - 0.7 Q",
    "from scratch, UncertaintyWeighting",
    "from scratch, DynamicWeightAveraging",
]


def small_data(**options: Any) -> SyntheticImpressions:
    sizes = {"num_sessions": 120, "session_length": 4, "num_categories": (20, 10), "batch_size": 64}
    return SyntheticImpressions(**{**sizes, **options})


def small_agent(field_sizes: Any, num_numerical: int, tasks: Any, actor: Any, **options: Any) -> ActorCritic:
    small = {"embed_dim": 4, "bottom_mlp_dims": [8], "tower_mlp_dims": [4], "batch_size": 64, "memory_size": 5_000}
    return DDPG(field_sizes, num_numerical, tasks, actor, **{**small, "actor_frozen": True, **options})


def small_model(data: SyntheticImpressions, **options: Any) -> ESMM:
    # With dropout, whose random numbers must not differ between arms.
    sizes: dict[str, Any] = {"embedding_dim": 4, "bottom_dims": [8], "tower_dims": [4], "dropout": 0.3}
    return ESMM(data.field_sizes, data.num_numerical, data.tasks, **{**sizes, **options})


@dataclass(frozen=True)
class SmallPolish:
    settings: PolishSettings
    build: Callable[[], ESMM]
    impressions: SyntheticImpressions
    recipe: dict[str, Any]

    def run(self, save_config: Callable[[Path], None]) -> PolishReport:
        return run_polish(
            self.settings,
            model=self.build(),
            datamodule=self.impressions,
            trainer_recipe=self.recipe,
            seed=SEED,
            save_config=save_config,
        )


def polish(
    root: Path,
    data: SyntheticImpressions | None = None,
    recipe: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    **options: Any,
) -> SmallPolish:
    data = small_data() if data is None else data
    settings = PolishSettings(root=str(root), **{**SETTINGS, "agent": small_agent, **options})
    return SmallPolish(settings, lambda: small_model(data, **(model or {})), data, {**RECIPE, **(recipe or {})})


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("settings\n")


def results(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "results.csv")


def without_seconds(root: Path) -> str:
    return results(root).drop(columns="seconds").to_csv()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder)).Reload().Scalars(tag)
    return [(event.step, event.value) for event in events]
