"""Every configuration of a top-N model runs through the command line, to the table of its recommendations."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from datamodules import SyntheticFeedback
from lightning_modules.cli.main import main
from lightning_modules.recommenders import TopNMetrics
from tests.recommenders.top_n_helpers import USERS, write_feedback

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "top_n"
QUICKSTART = CONFIGS / "quickstart.yaml"
MODELS = sorted({*CONFIGS.glob("*.yaml")} - {QUICKSTART})
QUICK = ["--trainer.max_epochs=5", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]


def test_the_files_are_found() -> None:
    assert [path.stem for path in MODELS] == ["ease", "ials", "lightgcn", "mf", "most_popular"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_trains_and_recommends(path: Path, tmp_path: Path) -> None:
    root = write_feedback(tmp_path / "shop")
    folder = f"--trainer.default_root_dir={tmp_path}"
    assert main(["fit", f"--config={path}", f"--data.root={root}", folder, *QUICK]) == 0
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    assert stored["_class_path"] == yaml.safe_load(path.read_text())["model"]["class_path"]
    last = [f"--ckpt_path={checkpoint}", folder, "--trainer.logger=false"]
    assert main(["test", *last]) == 0
    output = tmp_path / "top.csv"
    assert main(["predict", *last, f"--predict.output={output}", "--predict.top_k=3"]) == 0
    table = pd.read_csv(output)
    assert list(table.columns) == ["user", "item", "rank", "score"]
    assert len(table) == 3 * USERS
    assert table["score"].notna().all()
    seen = pd.read_csv(root / "train.tsv", sep="\t").merge(table, on=["user", "item"])
    # Items of validation are recommended, as in published tables.
    assert len(seen) < USERS


def test_the_quickstart_learns_what_was_planted(tmp_path: Path) -> None:
    folder = f"--trainer.default_root_dir={tmp_path}"
    quick = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    assert main(["fit", f"--config={QUICKSTART}", folder, *quick]) == 0
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    stored = torch.load(checkpoint, weights_only=True)["callbacks"]
    (best,) = (float(each["best_model_score"]) for each in stored.values() if "best_model_score" in each)
    data = SyntheticFeedback()
    data.setup("validate")
    popularity = torch.bincount(data.items_of_training().item, minlength=data.num_items).float()
    metrics = TopNMetrics(data.num_items, (20,))
    for batch in data.val_dataloader():
        metrics.update(popularity.repeat(len(batch.user), 1), batch)
    assert best > 1.2 * float(metrics.compute()["ndcg@20"])
