"""Searches of a second, run in this process, that can be stopped wherever one wants."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml

from lightning_modules.losses import BCE, MSE
from lightning_modules.search import command as study_module
from lightning_modules.search.command import run_search
from lightning_modules.search.events import SearchObserver
from lightning_modules.search.fused_evaluation import FusedEvaluator
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.reports.summary import FormulasFile
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.snapshots import Snapshots
from lightning_modules.search.strategies import PPO, REINFORCE, RandomSearch, RegularizedEvolution
from lightning_modules.search.trial import Assignment, Evaluation
from tests.search.child_helpers import planted_data, untrained

_SMALL_POLICY = {"warmup_draws": 64, "warmup_uniform": 128, "hidden_size": 8, "imitation_batch": 16, "warmup_steps": 2}
STRATEGIES = {
    "ppo": partial(PPO, **_SMALL_POLICY, epochs=2),
    "reinforce": partial(REINFORCE, **_SMALL_POLICY),
    "evolution": RegularizedEvolution,
    "random": RandomSearch,
}


#: A grid of four settings, and half of the candidates trained again.
TUNING = RewardTuning(
    learning_rates=[3e-3, 3e-2],
    weight_decays=[0.0, 1e-4],
    refinements=0,
    learning_rate_factors=[1.0],
    weight_decay_factors=[0.0, 1.0, 3.0],
    patience=1,
    retrained_share=0.5,
)


def search(
    root: Path, *, strategy: str = "ppo", model: pl.LightningModule | None = None, epochs: int = 1, **options: Any
) -> None:
    """Run a small search, or go on with the one that the folder holds."""
    data = planted_data()
    defaults: dict[str, Any] = {
        "rounds": 2,
        "candidates": 3,
        "warmup_updates": 2,
        "draws": 128,
        "references": [BCE(), MSE()],
        "strategy": STRATEGIES[strategy],
    }
    settings = SearchSettings(root=str(root), **{**defaults, **options})
    run_search(
        settings,
        recommender=model or untrained(data),
        datamodule=data,
        trainer_recipe={"max_epochs": epochs, "accelerator": "cpu", "devices": 1},
        seed=5,
        save_config=partial(_save, {**options, "strategy": strategy}),
    )


def _save(settings: Mapping[str, Any], path: Path) -> None:
    plain = {name: value if isinstance(value, int) else str(value) for name, value in settings.items()}
    written = {"search": plain}
    path.write_text(yaml.safe_dump(written), encoding="utf-8")


class NoFigures(SearchObserver):
    """Stands for a report that draws."""

    def __init__(self, *arguments: Any) -> None:
        pass


def without_figures(patch: pytest.MonkeyPatch) -> None:
    """Leave out the reports that draw, which take longer than a small study."""
    patch.setattr(study_module, "SearchTensorBoard", NoFigures)
    patch.setattr(study_module, "PictureFile", NoFigures)


class Stops:
    """Interrupts a search before or after one of the calls that change what is stored or known.

    Args:
        patch: Undoes it all after the test.

    Attributes:
        every_state: Write every snapshot, however little time has passed.
    """

    methods = (
        (FusedEvaluator, "evaluate"),
        (Ledger, "record"),
        (Ledger, "on_candidate"),
        (Snapshots, "offer"),
        (FormulasFile, "on_candidate"),
    )

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.every_state = False
        self._at: int | None = None
        self._calls = 0
        offer = Snapshots.offer
        patch.setattr(
            Snapshots,
            "offer",
            lambda snapshots, state, *, needed=False: offer(snapshots, state, needed=needed or self.every_state),
        )
        for cls, name in self.methods:
            patch.setattr(cls, name, self._stopping(getattr(cls, name)))
        without_figures(patch)

    @contextmanager
    def at(self, number: int | None) -> Iterator[None]:
        """Interrupt at the call of a number, two of which are before and after a real one."""
        self._at, self._calls = number, 0
        yield
        self._at = None

    def _stopping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._count()
            result = function(*arguments, **options)
            self._count()
            return result

        return call

    def _count(self) -> None:
        self._calls += 1
        if self._calls == self._at:
            raise KeyboardInterrupt


def interrupted(run: Callable[[], None]) -> bool:
    """Run, and return whether that was interrupted."""
    try:
        run()
    except KeyboardInterrupt:
        return True
    return False


def truncate(path: Path, share: float = 0.5) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])


def newest_first(root: Path) -> list[Path]:
    return sorted((root / "states").glob("*.pt"), reverse=True)


def trainings(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which every training in this process adds its name."""
    names: list[str] = []
    evaluate = FusedEvaluator.evaluate

    def noting(self: FusedEvaluator, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        names.extend(assignment.names)
        return evaluate(self, recommender, assignment)

    patch.setattr(FusedEvaluator, "evaluate", noting)
    return names
