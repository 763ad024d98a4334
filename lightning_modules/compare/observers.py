"""The observers of a comparison that write files: checkpoints and TensorBoard."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.events import CompareObserver
from lightning_modules.compare.records import readable
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.utilities.files import replace_file


class CheckpointWriter(CompareObserver):
    """Writes the tested models as checkpoints, for ``predict`` and ``export``.

    Args:
        folder: Where to; the names are those of the predictions.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:  # noqa: ARG002
        """Write the model, if there is one."""
        trainer, model = run.trainer, run.model
        if trainer is None or model is None:
            return
        path, save = self.folder / f"{row['predictions']}.ckpt", partial(trainer.save_checkpoint, weights_only=True)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, save)
        else:
            # All processes have to call it; only the first one writes.
            save(path)


class ComparisonTensorBoard(CompareObserver):
    """Writes a hyper-parameter entry for every result, and at the end the picture and the summary.

    Args:
        root: The comparison's folder.
        criterion: What the losses are compared by.
        model: Name of the model, one of the hyper-parameters.
        data: Name of the data, one of the hyper-parameters.
    """

    def __init__(self, root: Path, criterion: Criterion, model: str, data: str) -> None:
        self.root = root
        metric, beside = criterion.metric, criterion.beside
        self.metrics = f"val_{metric}", f"test_{metric}", f"test_{beside}"
        self.shared = {"model": model, "data": data}

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:  # noqa: ARG002
        """Write the entry of a result that has metrics."""
        metrics = {f"hparam/{name}": row[name] for name in self.metrics if name in row}
        if "predictions" not in row or not metrics:
            return
        chosen = {"learning_rate": row["learning_rate"], "weight_decay": row["weight_decay"], "seed": row["seed"]}
        chosen |= {name: value for name, value in row.items() if name.startswith("loss.")}
        loss = {"loss": compared.label, "group": compared.group}
        # Named as in the report; the hash tells apart losses that have the same name in two studies.
        _, identity, seed = row["predictions"].rsplit("-", 2)
        with SummaryWriter(str(self.root / "hparams" / f"{readable(compared.label)}-{identity}-{seed}")) as writer:
            # As add_hparams does, but in a folder with a fixed name, and in one file.
            for summary in hparams(self.shared | loss | chosen, metrics):
                writer.file_writer.add_summary(summary)
            for name, value in metrics.items():
                writer.add_scalar(name, value)

    def write(self, report: ComparisonReport) -> None:
        """Write the picture and the summary."""
        with SummaryWriter(str(self.root)) as writer:
            writer.add_figure("comparison/intervals", report.figure())
            if report.arms:
                writer.add_figure("comparison/searches", report.searches_figure())
            writer.add_text("comparison/summary", report.markdown())
