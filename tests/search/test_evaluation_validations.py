"""Which of a trial's validations count, and that it has those which its recommender awaits."""

import copy
import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from callbacks.best_weights import BestWeights
from lightning_modules.losses import BCE
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.evaluation import RewardRows, TrialEvaluator
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.training.trainers import TrainerFactory
from lightning_modules.training.tuning import Setting
from tests.search.child_helpers import planted_data, untrained

QUICK: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "max_epochs": 6}


class Validations(pl.Callback):
    """Notes the epoch and the metric of every validation, in the object that it was copied from."""

    def __init__(self) -> None:
        self.found: list[tuple[int, float]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Validations":
        return self

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.found.append((trainer.current_epoch + 1, float(trainer.callback_metrics["val/auc"])))


def evaluated(recipe: dict[str, Any], recommender: BiasedMF, **options: Any) -> Evaluation:
    assignment = Assignment((BCE(),), ("child",), 0, keep_weights=True, **options)
    (evaluation,) = TrialEvaluator(TrainerFactory({**QUICK, **recipe}), planted_data()).evaluate(
        recommender, assignment
    )
    return evaluation


def test_the_components_are_those_of_the_best_of_an_epochs_validations() -> None:
    validations = Validations()
    # Steps that are so long soon make the recommender worse.
    evaluation = evaluated(
        {"val_check_interval": 0.2, "callbacks": [validations]},
        untrained(planted_data()),
        settings=(Setting(0.3, 0.0),),
        patience=4,
    )
    best = max(range(len(validations.found)), key=lambda number: validations.found[number][1])
    assert validations.found[best + 1][0] == evaluation.epoch == validations.found[best][0], "a later one of its epoch"
    rows, child = RewardRows("val/auc"), untrained(planted_data())
    assert evaluation.weights is not None
    child.load_state_dict(evaluation.weights)
    (metrics,) = TrainerFactory(QUICK).build([rows], "best").validate(child, datamodule=planted_data(), verbose=False)
    assert evaluation.score == metrics["val/auc"] == validations.found[best][1]
    assert evaluation.components is not None
    assert rows.components is not None
    assert torch.equal(evaluation.components, rows.components)


@pytest.mark.parametrize(("best", "kept"), [(None, [1, 2, 3, 4]), (BestWeights("val/auc"), [1, 1, 3, 3])])
def test_the_last_validation_counts_or_the_best_one(best: BestWeights | None, kept: list[int]) -> None:
    rows, found = RewardRows("val/auc", best), []
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    for number, value in enumerate((0.5, 0.25, 0.75, math.nan), start=1):
        trainer.callback_metrics["val/auc"] = torch.tensor(value)
        rows._latest = torch.tensor(number)
        for callback in (*([] if best is None else [best]), rows):
            callback.on_validation_end(trainer, pl.LightningModule())
        assert rows.components is not None
        found.append(int(rows.components))
    assert found == kept


class Plateau(BiasedMF):
    """Its learning rate depends on a metric of validation."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        scheduler = ReduceLROnPlateau(optimizer, mode="max", patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val/auc"}}


def test_a_recommender_whose_learning_rate_is_by_a_metric_is_trained_as_lightning_does() -> None:
    recommender = untrained(planted_data())
    recommender.__class__ = Plateau
    evaluation = evaluated({}, recommender)
    assert (evaluation.status, evaluation.error) == ("trained", "")
    child = copy.deepcopy(recommender)
    child.loss = BCE()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = pl.Trainer(**QUICK, **quiet, num_sanity_val_steps=0, enable_model_summary=False)
        trainer.fit(child, datamodule=planted_data())
    assert evaluation.score == float(trainer.callback_metrics["val/auc"])


def test_a_recommender_that_awaits_no_validation_has_the_last_one() -> None:
    data = planted_data()
    validated = 0

    class Counted(BiasedMF):
        def on_validation_end(self) -> None:
            nonlocal validated
            validated += 1

    recommender = untrained(data)
    recommender.__class__ = Counted
    assert evaluated({}, recommender).status == "trained"
    assert validated == 1
