"""How long a top-N training has to wait for a better validation: the metric that is kept, its spread and its price.

Every loss is trained for a number of epochs without stopping; from its curve follows what any patience keeps, and when
it ends the training:

    python -m benchmarks.reward_patience data/amazon-health
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from jsonargparse import auto_cli

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from datamodules import ImplicitFeedback
from datamodules.implicit.negatives import UniformNegatives
from lightning_modules.losses import PSL, ListwiseLoss, SampledSoftmax, SLatK
from lightning_modules.recommenders import MF
from lightning_modules.training.quiet import quiet_training

MONITOR = "val/ndcg@20"
#: The first is the one that the others are compared with.
LOSSES: Mapping[str, ListwiseLoss] = {
    "SampledSoftmax": SampledSoftmax(0.2),
    "PSL": PSL("relu", 0.15),
    "SLatK": SLatK(20, 0.2, 2.25),
}


class Curve(pl.Callback):
    """Keeps the metric of every validation."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Keep the metric."""
        if not trainer.sanity_checking:
            self.values.append(float(trainer.callback_metrics[MONITOR]))


def main(
    root: str,
    patience: Sequence[int] = (2, 3, 5, 8, 12),
    seeds: int = 8,
    epochs: int = 100,
    every: int = 2,
    learning_rate: float = 0.03,
    negatives: int = 128,
    holdout: float = 0.1,
) -> None:
    """Train every loss with every seed, and write the report.

    Args:
        root: Folder of the data.
        patience: Numbers of validations without a better metric.
        seeds: Trainings of every loss.
        epochs: Epochs of a training.
        every: Epochs between validations.
        learning_rate: Learning rate of Adam.
        negatives: Negatives of a row, shared by the batch.
        holdout: Share of the users' training items that rewards are measured on.
    """
    settle()
    data = ImplicitFeedback(root, negatives=UniformNegatives(negatives, shared=True), batch_size=1024)
    train = partial(curve, data.hold_out(holdout, 0), learning_rate, epochs, every)
    curves = {name: [train(loss, seed) for seed in range(seeds)] for name, loss in LOSSES.items()}
    write_report(
        "reward_patience",
        title="Patience of top-N trainings",
        parts=[
            f"MF of 64 dimensions, Adam with {learning_rate:g}, {negatives} negatives, {seeds} seeds; NDCG@20 on "
            f"{holdout:.0%} of the users' training items, validated every {every} epochs for at most {epochs}. A "
            "training ends after as many validations as its patience without a better one. Means and standard "
            f"deviations over the seeds; differences are to {next(iter(LOSSES))} with the same seed, and their "
            "distance from 0 is in standard deviations.",
            table(
                ["loss", "patience", "NDCG@20 kept", "epochs trained", "difference", "distance"],
                [row(curves, name, each, every) for name in LOSSES for each in patience],
            ),
        ],
    )


def curve(
    data: pl.LightningDataModule, learning_rate: float, epochs: int, every: int, loss: ListwiseLoss, seed: int
) -> list[float]:
    """Return the metric of every validation of a training."""
    kept = Curve()
    with quiet_training():
        pl.seed_everything(seed)
        optimizer = partial(torch.optim.Adam, lr=learning_rate, fused=True)
        model = MF(data.num_users, data.num_items, loss=loss, cutoffs=[20], optimizer=optimizer)  # type: ignore[attr-defined]
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        recipe = {"accelerator": "cpu", "devices": 1, "max_epochs": epochs, "check_val_every_n_epoch": every}
        pl.Trainer(**recipe, **quiet, callbacks=[kept]).fit(model, data)
    print(f"{loss.title}, seed {seed}: at most {max(kept.values):.4f}", flush=True)
    return kept.values


def stopped(values: Sequence[float], patience: int) -> tuple[float, int]:
    """Return the best metric that a training with a patience keeps, and the number of its validations."""
    best = 0
    for place, value in enumerate(values):
        if value > values[best]:
            best = place
        if place - best >= patience:
            return values[best], place + 1
    return values[best], len(values)


def row(curves: Mapping[str, Sequence[Sequence[float]]], name: str, patience: int, every: int) -> list[str]:
    """Return the row of a loss and a patience."""
    kept = {each: np.array([stopped(values, patience) for values in of_loss]) for each, of_loss in curves.items()}
    metric, validations = kept[name].T
    differences = metric - next(iter(kept.values()))[:, 0]
    spread = differences.std(ddof=1)
    return [
        name,
        str(patience),
        f"{metric.mean():.4f} ± {metric.std(ddof=1):.4f}",
        f"{every * validations.mean():.0f}",
        f"{differences.mean():+.4f} ± {spread:.4f}" if spread else "-",
        f"{differences.mean() / spread:+.1f}" if spread else "-",
    ]


if __name__ == "__main__":
    auto_cli(main)
