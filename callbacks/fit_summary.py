"""A summary at the end of a fit: which checkpoint to use, and which monitored metric was undefined."""

import math
from collections.abc import Iterator

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from callbacks.last_checkpoint import LastCheckpoint

#: Warnings of Lightning's own code are printed without a line of code below them.
_IN_LIGHTNING = 5


class FitSummary(pl.Callback):
    """Names the best checkpoint with its metric, and warns of metrics that are not numbers.

    Where such a metric is monitored, Lightning's ``EarlyStopping`` ends the training without a word, unless it is
    ``verbose``, and its ``ModelCheckpoint`` takes the first epoch for the best.
    """

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the summary."""
        for warning in (*_undefined_ends(trainer), *_undefined_bests(trainer)):
            rank_zero_warn(warning, stacklevel=_IN_LIGHTNING)
        for path, why in [*_bests(trainer)] or _lasts(trainer):
            rank_zero_info(f"For test and predict take --ckpt_path {path}: it has the {why}")


def _undefined_ends(trainer: pl.Trainer) -> Iterator[str]:
    for each in trainer.early_stopping_callbacks:
        if each.stopping_reason is EarlyStoppingReason.NON_FINITE_METRIC and not each.verbose:
            value = float(trainer.callback_metrics.get(each.monitor, math.nan))
            yield (
                f"{type(each).__name__} ended the training after epoch {each.stopped_epoch + 1} because {each.monitor} "
                f"is {value}, which cannot rise or fall; let it monitor what these rows define, or leave it out"
            )


def _undefined_bests(trainer: pl.Trainer) -> Iterator[str]:
    for each in _monitored(trainer):
        if each.best_model_path and not math.isfinite(_score(each)):
            yield f"{each.best_model_path} is the first epoch's, not the best's: {each.monitor} was never a number"


def _bests(trainer: pl.Trainer) -> Iterator[tuple[str, str]]:
    for each in _monitored(trainer):
        if each.best_model_path and math.isfinite(_score(each)):
            yield each.best_model_path, f"best {each.monitor}, {_score(each):.4f}"


def _lasts(trainer: pl.Trainer) -> Iterator[tuple[str, str]]:
    for each in trainer.checkpoint_callbacks:
        if isinstance(each, LastCheckpoint) and each.path.exists():
            yield str(each.path), "weights of the last epoch"


def _monitored(trainer: pl.Trainer) -> list[ModelCheckpoint]:
    return [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint) and each.monitor]


def _score(kept: ModelCheckpoint) -> float:
    return math.nan if kept.best_model_score is None else float(kept.best_model_score)
