"""Learning curves of an agent."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_modules.utilities.figure_style import styled
from lightning_modules.utilities.files import save_picture

#: Beginnings of the names that each panel shows, from top to bottom.
_PANELS = {
    "score": ("val/score",),
    "critic loss": ("train/critic_loss",),
    "actor loss": ("train/actor_loss",),
    "BC loss": ("train/bc_loss",),
}


class AgentFigure(pl.Callback):
    """Draws score, critic losses, actor and BC losses over the epochs, in TensorBoard as ``agent`` and as a PNG file.

    Values are those that the agent logged; a panel without any is left out. The curves go on after a checkpoint, except
    that what an epoch logs after its checkpoint was written is not in it.

    Args:
        path: PNG file, overwritten with every picture; None writes none.
        every_n_epochs: Epochs for every picture; the last one is drawn at the end of training in any case.

    Raises:
        ValueError: If ``path`` does not end in .png, or ``every_n_epochs`` is below 1.
    """

    def __init__(self, path: str | None = None, every_n_epochs: int = 1) -> None:
        if path is not None and Path(path).suffix.lower() != ".png":
            raise ValueError(f"the figure is written as PNG; let its file end in .png, got {path}")
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.path = path
        self.every_n_epochs = every_n_epochs
        self._curves: dict[str, dict[int, float]] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the scores of this epoch."""
        if not trainer.sanity_checking:
            self._take(trainer, "val/", trainer.current_epoch)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the losses of the epoch before, which the agent logs when it is over, and draw."""
        epoch = trainer.current_epoch
        self._take(trainer, "train/", epoch - 1)
        if epoch and epoch % self.every_n_epochs == 0:
            self._draw(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the losses of the last epoch and draw."""
        self._take(trainer, "train/", trainer.current_epoch - 1)
        self._draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the curves."""
        return {"curves": self._curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with stored curves."""
        self._curves = state_dict["curves"]

    def _take(self, trainer: pl.Trainer, prefix: str, epoch: int) -> None:
        shown = tuple(name for names in _PANELS.values() for name in names)
        for name, value in trainer.callback_metrics.items():
            if name.startswith(prefix) and name.startswith(shown):
                self._curves.setdefault(name, {})[epoch + 1] = float(value)

    @rank_zero_only
    def _draw(self, trainer: pl.Trainer) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not self._curves or not (loggers or self.path):
            return
        figure = agent_figure(self._curves)
        if self.path is not None:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            save_picture(Path(self.path), figure, dpi=120)
        for logger in loggers:
            logger.experiment.add_figure("agent", figure, trainer.global_step)


@styled
def agent_figure(curves: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draw curves over the epochs, a panel for each kind of value.

    Args:
        curves: For every logged name the value of every epoch; names of other kinds are left out.
    """
    panels = {title: [name for name in curves if name.startswith(names)] for title, names in _PANELS.items()}
    panels = {title: names for title, names in panels.items() if names}
    # TensorBoard shows figures in tiles of some 350 pixels.
    figure = Figure(figsize=(4.2, 0.6 + 1.7 * max(len(panels), 1)), layout="constrained")
    for axes, (title, names) in zip(_axes(figure, len(panels)), panels.items(), strict=True):
        for name in sorted(names):
            epochs, values = zip(*sorted(curves[name].items()), strict=True)
            finite = [value if math.isfinite(value) else math.nan for value in values]
            axes.plot(epochs, finite, marker=".", label="/".join(name.split("/")[2:]) or "all tasks")
        axes.set_ylabel(title)
        if len(names) > 1:
            axes.legend()
    if panels:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _axes(figure: Figure, count: int) -> Iterable[Any]:
    return figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0] if count else ()
