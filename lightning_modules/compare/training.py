"""The trainings of a comparison, and the test of a trained model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_modules.compare.criteria import AreaUnderCurve, Criterion
from lightning_modules.training.full_training import FullTraining, TrainingRun
from lightning_modules.training.predictions import Scores
from lightning_modules.training.quiet import quiet_lightning


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
        trainer, model = run.trainer, run.model
        assert trainer is not None
        assert model is not None
        with quiet_lightning():
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
