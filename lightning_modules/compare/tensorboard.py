"""Shows a comparison in TensorBoard: the hyper-parameter tab, the picture and the summary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.events import CompareWatcher
from lightning_modules.compare.records import readable
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.training.convergence import TrainingRun

_METRICS = ("val_auc", "test_auc", "test_log_loss")


class ComparisonTensorBoard(CompareWatcher):
    """Writes a hyper-parameter entry for every result, and at the end the picture and the summary.

    Args:
        root: The comparison's folder.
        model: Name of the model, one of the hyper-parameters.
        data: Name of the data, one of the hyper-parameters.
    """

    def __init__(self, root: Path, model: str, data: str) -> None:
        self.root = root
        self.shared = {"model": model, "data": data}

    def on_result(self, entrant: Entrant, row: Mapping[str, Any], training: TrainingRun) -> None:  # noqa: ARG002
        """Write the entry of a result that has metrics."""
        metrics = {f"hparam/{name}": row[name] for name in _METRICS if name in row}
        if "predictions" not in row or not metrics:
            return
        chosen = {"learning_rate": row["learning_rate"], "weight_decay": row["weight_decay"], "seed": row["seed"]}
        loss = {"loss": entrant.label, "group": entrant.group}
        # Called as in the report; what had the same name in another study has another hash.
        _, identity, seed = row["predictions"].rsplit("-", 2)
        with SummaryWriter(str(self.root / "hparams" / f"{readable(entrant.label)}-{identity}-{seed}")) as writer:
            # What add_hparams does, but in a folder that is found again, and in one file.
            for summary in hparams(self.shared | loss | chosen, metrics):
                writer.file_writer.add_summary(summary)
            for name, value in metrics.items():
                writer.add_scalar(name, value)

    def write(self, report: ComparisonReport) -> None:
        """Write the picture and the summary."""
        with SummaryWriter(str(self.root)) as writer:
            writer.add_figure("comparison/intervals", report.figure())
            writer.add_text("comparison/summary", report.markdown())
