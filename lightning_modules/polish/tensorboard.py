"""The TensorBoard run of a polish: how its curves share charts, its pictures and its report."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from callbacks.scalar_layout import write_layout
from lightning_modules.polish.arms import BASE, Arm
from lightning_modules.polish.figures import TESTED, differences_figure, differences_table
from lightning_modules.polish.records import file_name
from lightning_modules.polish.report import PolishReport

_LAYOUT_SUFFIX, _REPORT_SUFFIX = ".layout", ".report"
_BASIS = "intervals over seeds and test sessions"


def lay_out(root: Path, seeds: Sequence[int], tasks: Sequence[str], arms: Sequence[Arm]) -> None:
    """Write which curves share a chart: the base model's with those of a seed's fine-tuned arms, or of the others."""
    kinds = {
        title: [file_name(BASE), *(file_name(arm.name) for arm in arms if arm.fine_tuned == is_fine_tuned)]
        for title, is_fine_tuned in (("fine-tuned", True), ("from scratch", False))
    }
    groups = {f"Seed {seed}": dict(_charts_of_seed(seed, tasks, kinds)) for seed in seeds}
    critics = {
        "critic loss": r"critics/seed_\d+/train/critic_loss",
        **{f"mean value, {task}": rf"critics/seed_\d+/train/q_mean/{re.escape(task)}" for task in tasks},
    }
    with _events(root, _LAYOUT_SUFFIX) as writer:
        write_layout(writer, {**groups, "Critics": critics})


def _charts_of_seed(seed: int, tasks: Sequence[str], kinds: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for metric, title in TESTED.items():
        for task in tasks:
            for kind, names in kinds.items():
                if len(names) > 1:
                    curves = "|".join(map(re.escape, names))
                    yield f"{title} {task}, {kind}", f"({curves})/seed_{seed}/val/{metric}/{re.escape(task)}"


def write_results(root: Path, report: PolishReport) -> None:
    """Write a picture of the differences in every metric, and the report."""
    with _events(root, _REPORT_SUFFIX) as writer:
        writer.add_text("polish/summary", report.markdown())
        for metric in TESTED if report.differences else ():
            figure = differences_figure(differences_table(report.differences), metric, report.control, _BASIS)
            writer.add_figure(f"polish/{metric}", figure)


@contextmanager
def _events(root: Path, suffix: str) -> Iterator[SummaryWriter]:
    """Open an event file in place of that of the same suffix, which an earlier run of the command has written."""
    for events in root.glob(f"events.out.tfevents.*{suffix}"):
        events.unlink()
    with SummaryWriter(str(root), filename_suffix=suffix) as writer:
        yield writer
