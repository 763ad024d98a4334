import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks import PredictionWriter
from callbacks.table_files import CsvFile, ParquetFile
from datamodules import InteractionsDataModule, RecommendationBatch
from datamodules.loader import BatchLoader
from lightning_modules.recommenders import BiasedMF
from tests.trainer_helpers import quiet_trainer


@pytest.fixture
def data(tmp_path: Path) -> InteractionsDataModule:
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [(f"user-{n % 5}", f"item, {n % 7}", n % 2) for n in range(60)]
    for split, part in (("train", rows), ("validation", rows[:9]), ("test", [("stranger", "item, 1", 1), *rows[:23]])):
        pd.DataFrame(part, columns=["uid", "iid", "label"]).to_csv(folder / f"shop.{split}.csv", sep="\t", index=False)
    return InteractionsDataModule(root=str(folder), eval_batch_size=10, seed=0)


def predict(data: InteractionsDataModule, output: Path) -> torch.Tensor:
    model = BiasedMF(data.num_users, data.num_items, init_std=1.0)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[PredictionWriter(str(output))]
    )
    return torch.cat(trainer.predict(model, datamodule=data))


def test_the_file_holds_original_ids_and_the_predicted_probabilities(
    data: InteractionsDataModule, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "folder" / "predictions.csv"
    probability = predict(data, output)
    table = pd.read_csv(output)
    assert list(table.columns) == ["user", "item", "probability"]
    test_rows = pd.read_csv(Path(data.root) / "shop.test.csv", sep="\t")
    assert table["user"].tolist() == test_rows["uid"].tolist()
    assert table["item"].tolist() == test_rows["iid"].tolist()
    assert table["probability"].to_numpy() == pytest.approx(probability.numpy(), rel=1e-6)
    assert [path.name for path in output.parent.iterdir()] == ["predictions.csv"]


def test_an_existing_file_is_overwritten(data: InteractionsDataModule, tmp_path: Path) -> None:
    output = tmp_path / "predictions.csv"
    output.write_text("something else\n" * 100)
    predict(data, output)
    assert len(pd.read_csv(output)) == 24


def test_parts_of_several_processes_are_joined_in_order(tmp_path: Path) -> None:
    output = tmp_path / "predictions.csv"
    writer = PredictionWriter(str(output))
    for rank, text in enumerate(("user,item,probability\na,b,0.5\n", "c,d,0.25\n", "e,f,1.0\n")):
        writer._part(rank).write_text(text)
    writer._join(world_size=3)
    assert pd.read_csv(output)["user"].tolist() == ["a", "c", "e"]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_data_without_ids_is_an_error(data: InteractionsDataModule, tmp_path: Path) -> None:
    model = BiasedMF(data.num_users, data.num_items)
    trainer = pl.Trainer(logger=False, accelerator="cpu", callbacks=[PredictionWriter(str(tmp_path / "p.csv"))])
    with pytest.raises(ValueError, match="no decode"):
        trainer.predict(model, dataloaders=data.predict_dataloader())


class Row(NamedTuple):
    row: Tensor


class TwoTasks(pl.LightningModule):
    """Predicts a thousandth of the row's number, and one minus that."""

    def predict_step(self, batch: Row) -> Tensor:
        first = batch.row.float() / 1000
        return torch.stack([first, 1 - first], dim=1)


class Sessions(pl.LightningDataModule):
    """Rows whose keys are a text and a number, of which the first ones are missing."""

    tasks: tuple[str, ...] = ("click", "long_view")

    def predict_dataloader(self) -> BatchLoader[Row]:
        return BatchLoader(Row(torch.arange(23)), batch_size=10)

    def decode(self, batch: Row) -> pd.DataFrame:
        row = batch.row.tolist()
        return pd.DataFrame({"session": [f"s,{n}" if n > 9 else None for n in row], "video": row})


def predict_tasks(output: Path, data: Any) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[PredictionWriter(str(output))]
    )
    trainer.predict(TwoTasks(), datamodule=data)


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_several_tasks_are_one_column_each(tmp_path: Path, name: str) -> None:
    predict_tasks(tmp_path / "out" / name, Sessions())
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    table = read(tmp_path / "out" / name)
    assert list(table.columns) == ["session", "video", "click", "long_view"]
    assert table["video"].tolist() == list(range(23))
    assert table["session"].isna().tolist() == [n < 10 for n in range(23)]
    assert table["session"].tolist()[10:] == [f"s,{n}" for n in range(10, 23)]
    assert table["click"].to_numpy() == pytest.approx([n / 1000 for n in range(23)], rel=1e-6)
    assert table["long_view"].to_numpy() == pytest.approx([1 - n / 1000 for n in range(23)], rel=1e-6)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_parquet_of_a_recommender_holds_what_csv_holds(data: InteractionsDataModule, tmp_path: Path) -> None:
    pl.seed_everything(0)
    predict(data, tmp_path / "predictions.csv")
    pl.seed_everything(0)
    predict(data, tmp_path / "predictions.parquet")
    csv, parquet = pd.read_csv(tmp_path / "predictions.csv"), pd.read_parquet(tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)


def test_parquet_parts_of_several_processes_are_joined_in_order(tmp_path: Path) -> None:
    writer = PredictionWriter(str(tmp_path / "predictions.parquet"))
    for rank, users in enumerate((["a", "b"], ["c"], [None, "e"])):
        part = ParquetFile(writer._part(rank))
        for user in users:
            part.append(pd.DataFrame({"user": [user], "probability": [0.5]}))
        part.close()
    writer._join(world_size=3)
    assert pd.read_parquet(tmp_path / "predictions.parquet")["user"].tolist()[:3] == ["a", "b", "c"]
    assert pd.read_parquet(tmp_path / "predictions.parquet")["user"].tolist()[-1] == "e"
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


@pytest.mark.parametrize("name", ["scores.txt", "scores", "scores.CSV.gz"])
def test_an_unknown_ending_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"end in \.csv or \.parquet"):
        PredictionWriter(name)


@pytest.mark.parametrize("tasks", [("click",), ()])
def test_data_with_other_tasks_than_the_model_is_refused(tmp_path: Path, tasks: tuple[str, ...]) -> None:
    data = Sessions()
    data.tasks = tasks
    with pytest.raises(ValueError, match=f"predicts 2 tasks and the data has {len(tasks)}"):
        predict_tasks(tmp_path / "scores.csv", data)


class Shifted(BiasedMF):
    """Predicts so far from 0 that single precision has no probabilities for it."""

    shift = 100.0

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return super().forward(user, item) + self.shift


def written(model: pl.LightningModule, data: Any, output: Path, **options: Any) -> pd.DataFrame:
    writer = PredictionWriter(str(output), **options)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[writer])
    trainer.predict(model, datamodule=data, return_predictions=False)
    return pd.read_csv(output)


def test_rows_whose_probabilities_are_rounded_are_ranked_by_logits(
    data: InteractionsDataModule, tmp_path: Path
) -> None:
    model = Shifted(data.num_users, data.num_items, init_std=1.0)
    with pytest.warns(UserWarning, match=r"24 probabilities in .*p\.csv are rounded to 0 or 1 .*--predict.logits"):
        table = written(model, data, tmp_path / "p.csv")
    assert (table["probability"] == 1).all()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*probabilities in.*")
        table = written(model, data, tmp_path / "p.csv", logits=True)
    rows = data.rows["test"]
    assert list(table.columns) == ["user", "item", "probability", "logit"]
    assert table["logit"].to_numpy() == pytest.approx(model(rows.user, rows.item).detach().numpy(), abs=1e-5)
    assert table["logit"].nunique() > 5


def test_logits_of_tasks_stand_behind_their_probabilities(tmp_path: Path) -> None:
    class Both(TwoTasks):
        def logit_step(self, batch: Row) -> Tensor:
            return torch.logit(self.predict_step(batch))

    table = written(Both(), Sessions(), tmp_path / "p.csv", logits=True)
    assert list(table.columns) == ["session", "video", "click", "long_view", "click_logit", "long_view_logit"]
    assert table["long_view_logit"][5] == pytest.approx(np.log(0.995 / 0.005), rel=1e-4)
    with pytest.raises(ValueError, match=r"TwoTasks has no logit_step"):
        written(TwoTasks(), Sessions(), tmp_path / "p.csv", logits=True)


class Multiplying(BiasedMF):
    """Computes its logits by a product, which is of half precision in autocast."""

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (super().forward(user, item)[:, None] @ torch.ones(1, 1, dtype=self.dtype))[:, 0]


class Counting(Multiplying):
    """Counts how often it computes logits."""

    computed = 0

    def logit_step(self, batch: Any) -> Tensor:
        self.computed += 1
        return super().logit_step(batch)


class OfItsOwn(Multiplying):
    """Predicts without its ``logit_step``."""

    def predict_step(self, batch: Any) -> Tensor:
        return torch.sigmoid(self(batch.user, batch.item))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("model_class", [Counting, OfItsOwn])
def test_a_probability_is_that_of_the_logit_beside_it(
    data: InteractionsDataModule, tmp_path: Path, precision: Any, model_class: type[BiasedMF]
) -> None:
    model = model_class(data.num_users, data.num_items, init_std=1.0)
    writer = PredictionWriter(str(tmp_path / "p.csv"), logits=True)
    quiet_trainer(precision=precision, callbacks=[writer]).predict(model, datamodule=data, return_predictions=False)
    table = pd.read_csv(tmp_path / "p.csv")
    logit = torch.tensor(table["logit"].to_numpy(), dtype=torch.float32)
    assert table["probability"].to_numpy() == pytest.approx(torch.sigmoid(logit).numpy(), rel=1e-6)
    assert torch.equal(logit, logit.bfloat16().float()) == (precision != "32-true")
    assert "logit_step" not in vars(model)
    assert getattr(model, "computed", 3) == 3  # batches


def test_a_model_that_diverged_writes_nothing(data: InteractionsDataModule, tmp_path: Path) -> None:
    model = BiasedMF(data.num_users, data.num_items)
    with torch.no_grad():
        model.item_bias.weight[0] = torch.inf
    with pytest.raises(ValueError, match=r"p\.csv is not written: 1 of \d+ values of item_bias.weight are not finite"):
        written(model, data, tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()


def test_predictions_that_overflow_are_counted(data: InteractionsDataModule, tmp_path: Path) -> None:
    model = Shifted(data.num_users, data.num_items)
    model.shift = torch.nan
    with pytest.warns(UserWarning, match=r"24 predictions in .*p\.csv are not finite"):
        written(model, data, tmp_path / "p.csv")


def test_an_interrupted_prediction_leaves_what_was_there(
    data: InteractionsDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "predictions.csv"
    output.write_text("something else")

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ParquetFile, "append", end)
    monkeypatch.setattr(CsvFile, "append", end)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        predict(data, output)
    assert output.read_text() == "something else"
    assert [path.name for path in tmp_path.iterdir() if "predictions" in path.name] == ["predictions.csv"]


def test_predictions_follow_a_link_and_spare_a_pipe(data: InteractionsDataModule, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    link, pipe = tmp_path / "out" / "link.csv", tmp_path / "out" / "pipe.csv"
    link.symlink_to(tmp_path / "real.csv")
    os.mkfifo(pipe)
    predict(data, link)
    assert link.is_symlink()
    assert len(pd.read_csv(tmp_path / "real.csv")) == 24
    with pytest.raises(ValueError, match=r"pipe.csv' is a device or a pipe and no file"):
        predict(data, pipe)
    assert pipe.is_fifo()


class Recommending(pl.LightningModule):
    """Recommends a user the ``top_k`` items from the number of the user on."""

    top_k = 2

    def predict_step(self, batch: Row) -> RecommendationBatch:
        user = batch.row.repeat_interleave(self.top_k)
        rank = torch.arange(1, self.top_k + 1).repeat(len(batch.row))
        return RecommendationBatch(user, user + rank, rank, 1 / rank)


class Users(pl.LightningDataModule):
    def predict_dataloader(self) -> BatchLoader[Row]:
        return BatchLoader(Row(torch.arange(5)), batch_size=2)

    def decode(self, batch: RecommendationBatch) -> pd.DataFrame:
        ids = {"user": [f"u{n}" for n in batch.user.tolist()], "item": [f"i{n}" for n in batch.item.tolist()]}
        return pd.DataFrame(ids)


def recommend(output: Path, **options: Any) -> None:
    writer = PredictionWriter(str(output), **options)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[writer])
    trainer.predict(Recommending(), datamodule=Users())


@pytest.mark.parametrize("name", ["top.csv", "top.parquet"])
def test_recommendations_are_rows_of_their_own(tmp_path: Path, name: str) -> None:
    recommend(tmp_path / name)
    table = (pd.read_csv if name.endswith("csv") else pd.read_parquet)(tmp_path / name)
    assert list(table.columns) == ["user", "item", "rank", "score"]
    assert table["user"].tolist() == [f"u{n // 2}" for n in range(10)]
    assert table["item"].tolist() == [f"i{n // 2 + n % 2 + 1}" for n in range(10)]
    assert table["rank"].tolist() == [1, 2] * 5
    assert table["score"].tolist() == [1.0, 0.5] * 5


def test_more_items_can_be_asked_for(tmp_path: Path) -> None:
    recommend(tmp_path / "top.csv", top_k=3)
    assert pd.read_csv(tmp_path / "top.csv")["rank"].tolist() == [1, 2, 3] * 5
    with pytest.raises(ValueError, match="top_k=0 recommends nothing"):
        PredictionWriter("top.csv", top_k=0)


def test_rows_have_no_top_k(data: InteractionsDataModule, tmp_path: Path) -> None:
    model = BiasedMF(data.num_users, data.num_items)
    writer = PredictionWriter(str(tmp_path / "p.csv"), top_k=3)
    trainer = pl.Trainer(logger=False, accelerator="cpu", callbacks=[writer])
    with pytest.raises(ValueError, match="BiasedMF scores given rows"):
        trainer.predict(model, datamodule=data)
    assert not (tmp_path / "p.csv").exists()
