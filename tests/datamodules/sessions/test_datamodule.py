import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks import PredictionWriter
from datamodules import ImpressionsDataModule, LoggedTransition, SessionsDataModule, SyntheticImpressions
from datamodules.sessions.transitions import logged_transitions


class Recorder(pl.LightningModule):
    """Keeps the transitions of every epoch that it is trained on, and predicts as many halves as there are labels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs: list[list[LoggedTransition]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: LoggedTransition, batch_idx: int) -> Tensor:
        assert type(batch) is LoggedTransition
        self.epochs[-1].append(batch)
        return self.weight * batch.label.mean()

    def predict_step(self, batch: LoggedTransition, batch_idx: int) -> Tensor:
        return torch.full_like(batch.label, 0.5)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def seen(self, epoch: int) -> LoggedTransition:
        return LoggedTransition(*(torch.cat(column) for column in zip(*self.epochs[epoch], strict=True)))


def sessions(seed: int | None = 0, own_seed: int | None = None) -> SessionsDataModule:
    impressions = SyntheticImpressions(num_sessions=60, session_length=4, num_categories=(9, 4), seed=own_seed)
    return SessionsDataModule(impressions, batch_size=50, seed=seed)


def trained(data: SessionsDataModule, **options: object) -> Recorder:
    model = Recorder()
    settings = {"max_epochs": 2, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(accelerator="cpu", enable_model_summary=False, **{**settings, **options})  # type: ignore[arg-type]
    trainer.fit(model, data)
    return model


def in_order(rows: LoggedTransition) -> Tensor:
    """Return the transitions as the rows of a matrix, sorted."""
    matrix = torch.cat([column.reshape(len(column), -1).double() for column in rows], dim=1)
    return matrix[np.lexsort(matrix.T.numpy())]


def write_log(path: Path, visits: list[int], shops: str = "aabbaabb", **options: object) -> ImpressionsDataModule:
    """Write eight rows, four of them for training, every second one clicked."""
    table = pd.DataFrame({"visit": visits, "shop": list(shops), "click": [0, 1] * 4})
    table.to_csv(path / "log.csv", index=False)
    columns = {"categorical_columns": ["shop"], "tasks": ["click"], "ratios": (0.5, 0.25, 0.25)}
    return ImpressionsDataModule(str(path / "log.csv"), **{**columns, **options})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_every_epoch_has_all_transitions_in_another_order() -> None:
    data = sessions()
    model = trained(data)
    expected = logged_transitions(data.impressions.rows["train"])
    assert [len(batch.done) for batch in model.epochs[0]] == [50, 50, 50, 42]
    for epoch in (0, 1):
        assert torch.equal(in_order(model.seen(epoch)), in_order(expected))
    assert not torch.equal(model.seen(0).numerical, model.seen(1).numerical)
    # What the impressions say before training may depend on the model.
    assert data.impressions.trainer is data.trainer


@pytest.mark.filterwarnings("ignore")
def test_order_follows_the_seed_then_that_of_the_impressions_then_torch() -> None:
    orders = {}
    for name, seed, own_seed, torch_seed in [
        ("seed", 3, None, 1),
        ("both", 3, 4, 1),
        ("impressions", None, 3, 1),
        ("torch", None, None, 3),
        ("other", None, None, 1),
    ]:
        torch.manual_seed(torch_seed)
        orders[name] = trained(sessions(seed, own_seed), max_epochs=1).seen(0).numerical
    assert all(torch.equal(orders["seed"], orders[name]) for name in ("both", "impressions", "torch"))
    assert not torch.equal(orders["seed"], orders["other"])


def test_everything_else_is_that_of_the_impressions() -> None:
    data, impressions = sessions(), sessions().impressions
    assert (data.field_sizes, data.num_numerical) == (impressions.field_sizes, impressions.num_numerical)
    assert data.tasks == impressions.tasks
    data.setup()
    for loader in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        for batch, expected in zip(getattr(data, loader)(), getattr(impressions, loader)(), strict=True):
            assert all(torch.equal(*pair) for pair in zip(batch, expected, strict=True))
    assert data.decode(data.rows["test"]).equals(impressions.decode(impressions.rows["test"]))


@pytest.mark.filterwarnings("ignore")
def test_predictions_are_written_with_the_keys_of_the_impressions(tmp_path: Path) -> None:
    data, output = sessions(), tmp_path / "predicted.csv"
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=[PredictionWriter(str(output))], enable_progress_bar=False
    )
    trainer.predict(Recorder(), data)
    table = pd.read_csv(output)
    assert list(table) == ["session", "user", "click", "conversion"]
    assert len(table) == len(data.rows["test"].row)


def test_impressions_state_their_doubts_before_training(tmp_path: Path) -> None:
    impressions = write_log(tmp_path, [0, 0, 1, 1, 2, 2, 3, 3], "abababab", session_column="visit")
    with pytest.warns(UserWarning, match="'shop' alone"):
        SessionsDataModule(impressions, seed=0).setup("fit")


@pytest.mark.parametrize("columns", [{}, {"session_column": "visit"}])
def test_sessions_that_all_have_one_row(tmp_path: Path, columns: dict[str, str]) -> None:
    data = SessionsDataModule(write_log(tmp_path, list(range(8)), **columns), seed=0)
    with pytest.raises(ValueError, match=r"each of the 4 training sessions has one row only.*name a session_column"):
        data.setup()


def test_one_row_sessions_are_stated_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    impressions = write_log(tmp_path, [0, 0, 1, 2, 3, 3, 4, 4], session_column="visit")
    with caplog.at_level(logging.INFO):
        data = SessionsDataModule(impressions, seed=0)
        for stage in ("fit", "test"):
            data.setup(stage)
        data.train_dataloader()
    (said,) = [record.message for record in caplog.records if "one row only" in record.message]
    assert "2 of 3 training sessions (66.7%)" in said


def test_sessions_of_several_rows_need_no_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        sessions().setup()
    assert not [record for record in caplog.records if "one row only" in record.message]
