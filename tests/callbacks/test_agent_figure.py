from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from callbacks import AgentFigure
from callbacks.agent_figure import agent_figure
from tests.trainer_helpers import quiet_trainer

pytestmark = pytest.mark.draws


class Agent(pl.LightningModule):
    """Logs as agents do: scores after validation, losses when the epoch is over, the actor's from the second on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any) -> Tensor:
        return self.weight * 0

    def validation_step(self, batch: Any) -> None:
        pass

    def on_validation_epoch_end(self) -> None:
        self.log("val/score", -10.0 + self.current_epoch)
        self.log("val/auc", 0.5)

    def on_train_epoch_end(self) -> None:
        self.log_dict({"train/critic_loss": 5.0 - self.current_epoch, "train/critic_loss/click": 1.0})
        if self.current_epoch:
            self.log("train/actor_loss", float(self.current_epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(figure: AgentFigure, *, epochs: int = 3, logger: Any = False, ckpt_path: Path | None = None) -> pl.Trainer:
    trainer = quiet_trainer(
        max_epochs=epochs, callbacks=[figure], logger=logger, log_every_n_steps=1, num_sanity_val_steps=2
    )
    trainer.fit(Agent(), [torch.zeros(1)], [torch.zeros(1)], ckpt_path=ckpt_path, weights_only=True)
    return trainer


CURVES = {
    "val/score": {1: -10.0, 2: -9.0, 3: -8.0},
    "train/critic_loss": {1: 5.0, 2: 4.0, 3: 3.0},
    "train/critic_loss/click": {1: 1.0, 2: 1.0, 3: 1.0},
    "train/actor_loss": {2: 1.0, 3: 2.0},
}


def test_every_epochs_values_are_kept_under_that_epoch() -> None:
    figure = AgentFigure()
    fit(figure)
    assert figure.state_dict() == {"curves": CURVES}


def test_curves_go_on_after_a_checkpoint(tmp_path: Path) -> None:
    fit(AgentFigure(), epochs=2).save_checkpoint(tmp_path / "stopped.ckpt")
    figure = AgentFigure()
    fit(figure, ckpt_path=tmp_path / "stopped.ckpt")
    assert figure.state_dict() == {"curves": CURVES}


def test_a_picture_in_tensorboard_and_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "agent.png"
    fit(AgentFigure(str(path)), logger=TensorBoardLogger(tmp_path, name="", version=""))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [image.step for image in events.Images("agent")] == [1, 2, 3]
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 400
    assert picture.std() > 0.01


def test_fewer_pictures_on_request(tmp_path: Path) -> None:
    fit(AgentFigure(every_n_epochs=2), logger=TensorBoardLogger(tmp_path, name="", version=""))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [image.step for image in events.Images("agent")] == [2, 3]


def test_the_figure_holds_the_curves_in_their_panels() -> None:
    figure = agent_figure(CURVES)
    assert [axes.get_ylabel() for axes in figure.axes] == ["score", "critic loss", "actor loss"]
    lines = {str(line.get_label()): line.get_xydata() for line in figure.axes[1].lines}
    np.testing.assert_array_equal(lines["all tasks"], [[1, 5], [2, 4], [3, 3]])
    np.testing.assert_array_equal(lines["click"], [[1, 1], [2, 1], [3, 1]])
    np.testing.assert_array_equal(figure.axes[2].lines[0].get_xydata(), [[2, 1], [3, 2]])


def test_values_without_a_place_in_a_picture_are_gaps() -> None:
    figure = agent_figure({"val/score": {1: -1.0, 2: float("nan"), 3: float("-inf")}})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata()[:, 1], [-1.0, np.nan, np.nan])
    figure.canvas.draw()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"agent\.pdf"):
        AgentFigure("agent.pdf")
    with pytest.raises(ValueError, match=r"every_n_epochs.*got 0"):
        AgentFigure(every_n_epochs=0)
