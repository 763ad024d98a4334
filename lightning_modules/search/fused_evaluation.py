"""Trains losses with compiled kernels where these match, and otherwise as they are trained without them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import pytorch_lightning as pl

from lightning_modules.losses import Loss
from lightning_modules.populations import MeasuredPopulation, UnmatchedError
from lightning_modules.populations.trainer_matching import WHOLE_EPOCHS, refuse_other_device, require_numba
from lightning_modules.populations.validations import LastValidations
from lightning_modules.search.evaluation import Evaluator
from lightning_modules.search.population_evaluation import GroupEvaluator
from lightning_modules.search.trial import Assignment, Evaluation, GridPoint
from lightning_modules.statistics.single_metric import metric_name
from lightning_modules.training.fused_convergence import fit_copies

_log = logging.getLogger(__name__)


class FusedEvaluator(GroupEvaluator):
    """Trains a group of losses under one Trainer with compiled kernels; see :class:`GroupEvaluator`.

    Args:
        arguments: Those of :class:`GroupEvaluator`.
        otherwise: Trains what the kernels do not match.
        options: The other arguments of :class:`GroupEvaluator`.
    """

    matched: ClassVar[Mapping[str, Any]] = WHOLE_EPOCHS

    def __init__(self, *arguments: Any, otherwise: Evaluator, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.otherwise = otherwise
        self._matches = True

    def check(self, recommender: pl.LightningModule) -> None:
        """Find out whether the kernels match, and say so if they do not.

        Raises:
            ValueError: If the recommender or the configuration is not supported without kernels either.
        """
        try:
            super().check(recommender)
        except UnmatchedError as error:
            self._give_up(error)
            self.otherwise.check(recommender)

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train and validate a copy of ``recommender`` with each loss; ``recommender`` stays unchanged.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
        """
        if self._matches:
            try:
                return super().evaluate(recommender, assignment)
            except UnmatchedError as error:
                self._give_up(error)
        return self.otherwise.evaluate(recommender, assignment)

    def population(
        self, recommender: pl.LightningModule, points: Sequence[GridPoint], validations: LastValidations
    ) -> MeasuredPopulation:
        """Return copies of ``recommender`` for the kernels; see :class:`GroupEvaluator`."""
        require_numba()
        from lightning_modules.populations.fused.fused_population import FusedPopulation
        from lightning_modules.populations.fused.matching import matched_limits

        return FusedPopulation(
            recommender,
            [cast(Loss, point.loss) for point in points],
            limits=matched_limits(self.trainers.recipe),
            monitor=metric_name(self.monitor),
            settings=[point.setting for point in points],
            validations=validations,
        )

    def _trainer(self, name: str, epochs: int | None, patience: int | None) -> pl.Trainer:
        trainer = super()._trainer(name, epochs, patience)
        refuse_other_device(trainer)
        return trainer

    def _fit(self, trainer: pl.Trainer, population: MeasuredPopulation) -> None:
        fit_copies(trainer, population, self.datamodule)

    def _give_up(self, error: UnmatchedError) -> None:
        self._matches = False
        _log.warning("Compiled training is not used: %s.", error)
