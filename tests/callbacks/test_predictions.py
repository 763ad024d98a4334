from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from callbacks import PredictionWriter
from datamodules import InteractionsDataModule
from lightning_modules.recommenders import BiasedMF


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
    for rank, text in enumerate(("user,item,probability\na,b,0.5\n", "c,d,0.25\n", "e,f,1.0\n")):
        (tmp_path / f"predictions.csv.part{rank}").write_text(text)
    PredictionWriter(str(output))._join(world_size=3)
    assert pd.read_csv(output)["user"].tolist() == ["a", "c", "e"]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_data_without_ids_is_an_error(data: InteractionsDataModule, tmp_path: Path) -> None:
    model = BiasedMF(data.num_users, data.num_items)
    trainer = pl.Trainer(logger=False, accelerator="cpu", callbacks=[PredictionWriter(str(tmp_path / "p.csv"))])
    with pytest.raises(ValueError, match="no decode"):
        trainer.predict(model, dataloaders=data.predict_dataloader())
