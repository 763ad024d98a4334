"""The trainings of a comparison, and the test of a trained model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_modules.compare.criteria import AreaUnderCurve, Criterion
from lightning_modules.losses import LossObject
from lightning_modules.training.executors import Shared
from lightning_modules.training.full_training import FullTraining, TrainingRun
from lightning_modules.training.predictions import Scores
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.trainers import scoring_trainer
from lightning_modules.training.tuning import Setting


@dataclass(frozen=True)
class Measured:
    """A trained model's metrics and scores.

    Attributes:
        metrics: Its test metrics; where it logs none of their names, those of both splits that the scores give.
        validation: Its scores of the validation rows.
        test: Its scores of the test rows.
    """

    metrics: Mapping[str, float]
    validation: Scores
    test: Scores


class MeasuredTraining(FullTraining):
    """Trains models to convergence and tests them; see :class:`FullTraining`.

    Args:
        arguments: Those of :class:`FullTraining`.
        criterion: What trained models are measured for; by default the AUC.
        options: Its other arguments; its data module also has the test rows.
    """

    def __init__(self, *arguments: Any, criterion: Criterion | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.criterion = AreaUnderCurve() if criterion is None else criterion

    def measure(self, run: TrainingRun) -> Measured:
        """Test a trained model, and measure it on the validation and test rows."""
        model = run.model
        assert model is not None
        with quiet_lightning():
            # What comes from a worker has left its Trainer there.
            trainer = run.trainer or scoring_trainer(self.recipe)
            has_metrics = is_overridden("test_step", model)
            tested = trainer.test(model, datamodule=self.datamodule, verbose=False)[0] if has_metrics else {}
            validation = self.criterion.measure(trainer, model, self.datamodule.val_dataloader())
            test = self.criterion.measure(trainer, model, self.datamodule.test_dataloader())
        # Modules of others may log no metrics of the names that tables have.
        own = {} if f"test/{self.criterion.metric}" in tested else self._figures(val=validation, test=test)
        return Measured({**own, **tested}, validation, test)

    def _figures(self, **splits: Scores) -> dict[str, float]:
        return {
            f"{split}/{name}": value
            for split, own in splits.items()
            for name, value in self.criterion.figures(own).items()
        }


def trained_run(training: Shared[MeasuredTraining], loss: LossObject, seed: int, setting: Setting) -> TrainingRun:
    """Train a model in the process that calls this."""
    return training.get().train(loss, seed, setting)


def measured_run(
    training: Shared[MeasuredTraining], loss: LossObject, seed: int, setting: Setting, run: TrainingRun | None
) -> tuple[TrainingRun, Measured | None]:
    """Measure a training in the process that calls this, after doing it if there is no run; nothing without a model."""
    own = training.get()
    run = run or own.train(loss, seed, setting)
    return run, None if run.model is None else own.measure(run)
