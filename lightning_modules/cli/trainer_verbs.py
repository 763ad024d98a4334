"""The verbs that are methods of Lightning's Trainer: their options, callbacks and checkpoints."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_warn

from callbacks import FitSummary, HyperParameters, LastCheckpoint
from lightning_modules.cli.checkpoint_settings import other_sizes
from lightning_modules.cli.last_run import CHECKPOINTS, run_lock
from lightning_modules.cli.shorthand import Shorthand
from lightning_modules.utilities.files import full_disk_explained
from lightning_modules.utilities.serialization import is_file, is_of_restoring, reason_of

#: Arguments of the Trainer's methods that are no options.
NO_OPTIONS = frozenset(
    (
        *("model", "datamodule", "train_dataloaders", "val_dataloaders", "dataloaders"),
        *("weights_only", "return_predictions"),
    )
)
#: Verbs of a trained model, and what they yield.
_MEASURING = {"validate": "metrics", "test": "metrics", "predict": "predictions"}
# How Lightning begins the files that it writes.
_WRITTEN = b"# pytorch_lightning=="
SHORTHANDS = {"predict": Shorthand("predict.", {"output": str, "logits": bool, "top_k": int | None})}


def add_prediction_options(parser: LightningArgumentParser) -> None:
    """Add the options of ``predict`` to its parser."""
    help_text = "CSV or Parquet file to write: a row's keys and probabilities, or a user's items with their scores."
    group = parser.add_argument_group("Options of a prediction")
    group.add_argument("--predict.output", type=str, default="predictions.csv", help=help_text)
    help_text = "Write a column of logits too, since probabilities that are rounded to 0 or 1 do not rank rows."
    group.add_argument("--predict.logits", type=bool, default=False, help=help_text)
    help_text = "Number of items to recommend to every user; the model's largest cut-off if not given."
    group.add_argument("--predict.top_k", type=int | None, default=None, help=help_text)


def refuse_untrained(verb: str) -> None:
    """Refuse predictions of an untrained model, and warn of its metrics.

    Raises:
        ValueError: If the verb is ``predict``.
    """
    if verb not in _MEASURING:
        return
    message = (
        f"{verb} without --ckpt_path gives the {_MEASURING[verb]} of a model that is not trained. Name a checkpoint, "
        "such as lightning_logs/version_0/checkpoints/best.ckpt, or last for the newest one"
    )
    if verb == "predict":
        raise ValueError(message)
    rank_zero_warn(message)


def callbacks_of_fit(model: pl.LightningModule, trainer: Mapping[str, Any]) -> list[pl.Callback]:
    """Return a summary, and callbacks that keep the best and the last epoch where no other keeps checkpoints.

    Args:
        model: The model; the best epoch is that of the highest ``validation_metric``, if it has one.
        trainer: The arguments of the Trainer.
    """
    own = [HyperParameters(), FitSummary()]
    given = trainer.get("callbacks") or []
    keeps = any(isinstance(each, Checkpoint) for each in (given if isinstance(given, list) else [given]))
    if keeps or trainer.get("enable_checkpointing") is False or trainer.get("barebones"):
        return own
    metric = getattr(model, "validation_metric", None)
    if not metric:
        return [LastCheckpoint(), *own]
    # The folder "checkpoints" then holds the one file that is to be used.
    best = ModelCheckpoint(monitor=metric, mode="max", filename="best")
    return [best, LastCheckpoint(folder="resume"), *own]


def default_logger(folder: str | Path | None) -> TensorBoardLogger:
    """Return the logger that a Trainer makes if none is given, but without a metric that is always -1."""
    return TensorBoardLogger(folder or Path.cwd(), version=SLURMEnvironment.job_id(), default_hp_metric=False)


class RunSettings(SaveConfigCallback):
    """Writes the settings of a run into its folder, but not over a file that the user has written.

    A run without a logger has no folder of its own: its settings lie beside its checkpoints, if it keeps any.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the settings when the Trainer begins."""
        self.save_to_log_dir = bool(trainer.loggers)
        folder = trainer.log_dir if self.save_to_log_dir else None
        path = None if folder is None else Path(folder, self.config_filename)
        if not self.already_saved and trainer.strategy.broadcast(path is not None and _is_of_user(path)):
            self.already_saved = True
            rank_zero_warn(
                f"'{path}' is not overwritten with the settings of this run, since it was not written by one: name "
                "another folder with --trainer.default_root_dir or the logger's save_dir"
            )
        super().setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the settings beside the checkpoints of a run without a logger."""
        keeping: list[Any] = trainer.checkpoint_callbacks
        if trainer.loggers or not keeping or not trainer.is_global_zero:
            return
        given = next(filter(None, (getattr(each, "dirpath", None) for each in keeping)), None)
        path = Path(given or Path(trainer.default_root_dir, CHECKPOINTS), self.config_filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, path, skip_unset=False, multifile=self.multifile, overwrite=self.overwrite)


def _is_of_user(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_WRITTEN)) != _WRITTEN


@contextmanager
def guarded(verb: str, trainer: pl.Trainer, checkpoint: str | Path | None) -> Iterator[None]:
    """Lock the folder of a fit, and explain errors of a full disk or of a checkpoint that does not fit.

    Args:
        verb: The verb that runs meanwhile.
        trainer: Its Trainer.
        checkpoint: The checkpoint that it restores.

    Raises:
        OSError: If the disk is full.
        ValueError: If another process trains in the folder, or the checkpoint cannot be restored.
    """
    is_fit = verb == "fit"
    advice = f"Free some space, then give the same command again{' with --ckpt_path last' if is_fit else ''}"
    lock = run_lock(trainer) if is_fit else nullcontext()
    with full_disk_explained(f"what {verb} writes", advice), lock, warnings.catch_warnings():
        if not is_fit:
            # An evaluation does without what kept the checkpoints of the training.
            warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint")
        try:
            yield
        except Exception as error:
            if not is_of_restoring(error):
                raise
            raise ValueError(_not_restored(verb, trainer, checkpoint, error)) from error


def _not_restored(verb: str, trainer: pl.Trainer, checkpoint: str | Path | None, error: Exception) -> str:
    others = other_sizes(str(checkpoint), trainer.lightning_module) if is_file(str(checkpoint)) else ""
    if others:
        return others
    use = "gone on from" if verb == "fit" else "used"
    advice = "Name the checkpoint of this model, as fit has written it"
    return f"'{checkpoint}' cannot be {use} ({reason_of(error)}). {advice}"
