"""The TensorBoard run of a comparison."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from callbacks.scalar_layout import Layout, write_layout
from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.events import CompareObserver
from lightning_modules.compare.records import readable
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.results import LossResult
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.utilities.markdown import markdown

#: Losses on one chart, beside the baseline.
_LOSSES_A_CHART = 5
#: What the table of results shows of a training, as far as it is known.
_SHOWN = ("seed", "status", "learning_rate", "weight_decay", "epochs")


class ComparisonTensorBoard(CompareObserver):
    """Writes the metrics of every loss, seed by seed, and at the end the settings, the picture and the summary.

    Args:
        root: The comparison's folder.
        criterion: What the losses are compared by.
        losses: The losses, the baseline first.
        model: Name of the model, one of the hyper-parameters.
        data: Name of the data, one of the hyper-parameters.
    """

    def __init__(self, root: Path, criterion: Criterion, losses: Sequence[ComparedLoss], model: str, data: str) -> None:
        self.root = root
        self.criterion = criterion
        self.names = dict(zip((each.title for each in losses), _names(losses), strict=True))
        self.shared = {"model": model, "data": data}
        self._writer: SummaryWriter | None = None

    def on_start(self) -> None:
        """Write which losses share a chart."""
        self._writer = SummaryWriter(str(self.root))
        write_layout(self._writer, self.layout())

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:  # noqa: ARG002
        """Write the metrics of a result; its step is the seed."""
        metric = self.criterion.metric
        metrics = {name: row[name] for name in (f"test_{metric}", f"val_{metric}") if name in row}
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(f"{name}/{self.names[compared.title]}", value, row["seed"])
            self._writer.flush()

    def on_end(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def write(self, report: ComparisonReport) -> None:
        """Write the settings, the picture, all results and the summary."""
        with SummaryWriter(str(self.root)) as writer:
            figures = self._figures(report)
            # As add_hparams does, but in this run.
            for summary in hparams(self._settings(report), figures):
                writer.file_writer.add_summary(summary)
            for name, value in figures.items():
                writer.add_scalar(name, value)
            writer.add_figure("comparison/intervals", report.figure())
            if report.arms:
                writer.add_figure("comparison/searches", report.searches_figure())
            writer.add_text("comparison/summary", report.markdown())
            writer.add_text("comparison/results", self._table(report.results))

    def layout(self) -> Layout:
        """Return the charts: the baseline with a few other losses on each, test metrics before those of validation."""
        baseline, *others = self.names.values()
        chunks = [others[start : start + _LOSSES_A_CHART] for start in range(0, len(others), _LOSSES_A_CHART)]
        return {
            f"{title} {self.criterion.title}, by seed": {
                f"{baseline} and {', '.join(chunk)}" if chunk else baseline: f"{split}_{self.criterion.metric}/"
                f"({'|'.join(map(re.escape, [baseline, *chunk]))})"
                for chunk in chunks or [[]]
            }
            for split, title in (("test", "Test"), ("val", "Validation"))
        }

    def _settings(self, report: ComparisonReport) -> dict[str, Any]:
        baseline, *others = report.results
        best = max(others, key=_gap, default=baseline)
        own = {"baseline": baseline.loss.label, "best": best.loss.label, "losses": len(report.results)}
        return {**self.shared, **own, "seeds": len(baseline.runs)}

    def _figures(self, report: ComparisonReport) -> dict[str, float]:
        baseline, *others = report.results
        test = f"test_{self.criterion.metric}"
        best = max(map(_gap, others), default=-math.inf)
        found = {f"comparison/baseline_{test}": baseline.mean(test), "comparison/best_difference": best}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _table(self, results: Sequence[LossResult]) -> str:
        metrics = (f"val_{self.criterion.metric}", f"test_{self.criterion.metric}", f"test_{self.criterion.beside}")
        runs = pd.concat([result.runs for result in results])
        columns = [name for name in (*_SHOWN, *metrics) if name in runs]
        header = ["loss", *(name.replace("_", " ") for name in columns)]
        rows = [
            [result.loss.label, *(_cell(value) for value in run)]
            for result in results
            for run in result.runs.reindex(columns=columns).itertuples(index=False)
        ]
        return markdown(header, rows)


def _names(losses: Sequence[ComparedLoss]) -> Iterator[str]:
    """Yield names of curves; of losses with the same name in two studies the later ones have a number."""
    seen: dict[str, int] = {}
    for each in losses:
        name = readable(each.label)
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}_{seen[name]}"


def _gap(result: LossResult) -> float:
    gap = result.difference.estimate
    return -math.inf if math.isnan(gap) else gap


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return str(value)
