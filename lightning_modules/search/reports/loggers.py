"""The curves of a search in Lightning's loggers, such as those of W&B and MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_modules.search.answer import Validation
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchProgress
from lightning_modules.search.reports.scalars import scalars_of
from lightning_modules.search.space import SearchSpace


class SearchLoggers(SearchObserver):
    """Gives the figures of every round to loggers, the round as the step.

    Args:
        loggers: The loggers.
        space: The search space.
    """

    def __init__(self, loggers: Sequence[Logger], space: SearchSpace) -> None:
        self.loggers = loggers
        self.space = space
        self._references: dict[str, float] = {}

    def on_resume(self, progress: SearchProgress) -> None:
        """Keep the reference losses."""
        for candidate in progress.candidates:
            self.on_candidate(candidate)

    def on_candidate(self, candidate: Candidate) -> None:
        """Keep the reference losses, whose rewards are drawn as lines."""
        if candidate.kind == "reference":
            self._references[candidate.formula] = candidate.reward

    def on_round(self, summary: RoundSummary) -> None:
        """Log the round."""
        if self.loggers:
            self._log(scalars_of(summary, self._references, self.space), summary.round)

    def on_validation(self, validation: Validation) -> None:
        """Log the best validated difference to the baseline."""
        found = [each.difference for each in validation.formulas if each.difference is not None]
        if found:
            self._log({"validated/best": max(found)}, validation.round)

    def on_end(self) -> None:
        """Let the loggers write what they hold."""
        for logger in self.loggers:
            logger.save()
            logger.finalize("success")

    def _log(self, values: dict[str, float], step: int) -> None:
        for logger in self.loggers:
            logger.log_metrics(values, step)


def named_loggers(recipe: Mapping[str, Any]) -> list[Logger]:
    """Return the loggers that a Trainer's options name, apart from TensorBoard's, whose run is always written."""
    given = recipe.get("logger")
    several = given if isinstance(given, list | tuple) else [given]
    return [each for each in several if isinstance(each, Logger) and not isinstance(each, TensorBoardLogger)]
