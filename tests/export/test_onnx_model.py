import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from datamodules.batches import Batch
from lightning_modules.export import onnx_model
from lightning_modules.export.onnx_model import write_onnx
from lightning_modules.recommenders import BiasedMF, DeepMF, RankNet

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZES = {"num_users": 13, "num_items": 7, "embedding_dim": 8, "init_std": 1.0}


def saved(model: pl.LightningModule, path: Path) -> Path:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def trained(model_class):
    """Return a model whose BatchNorm has statistics other than those that it starts with."""
    model = model_class(**SIZES)
    with torch.no_grad():
        for _ in range(20):
            model(torch.randint(0, 13, (64,)), torch.randint(0, 7, (64,)))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An exported BiasedMF."""
    folder = tmp_path_factory.mktemp("exported")
    write_onnx(saved(BiasedMF(**SIZES), folder / "model.ckpt"), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("model_class", [BiasedMF, DeepMF, RankNet])
def test_the_file_predicts_what_the_model_predicts(model_class, tmp_path, capfd):
    torch.manual_seed(0)
    model = trained(model_class)
    checkpoint = saved(model, tmp_path / "model.ckpt")
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_onnx(checkpoint, tmp_path / "model.onnx")
    out, err = capfd.readouterr()
    # On a busy machine it says that it is still at it.
    assert (out, [line for line in err.splitlines() if not line.endswith(" so far")]) == ("", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.ckpt", "model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for rows in (1, 3, 1000):
        user, item = torch.randint(0, 13, (rows,)), torch.randint(0, 7, (rows,))
        found, logit = session.run(None, {"user": user.numpy(), "item": item.numpy()})
        with torch.no_grad():
            right = model.eval().predict_step(Batch(user, item, torch.zeros(rows)))
            right_logit = model(user, item)
        torch.testing.assert_close(torch.from_numpy(found), right, rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.from_numpy(logit), right_logit, rtol=1e-5, atol=1e-5)
    assert [(each.name, each.type, each.shape) for each in (*session.get_inputs(), *session.get_outputs())] == [
        ("user", "tensor(int64)", ["rows"]),
        ("item", "tensor(int64)", ["rows"]),
        ("probability", "tensor(float)", ["rows"]),
        ("logit", "tensor(float)", ["rows"]),
    ]


def test_a_file_that_predicts_something_else_is_refused(exported, tmp_path, monkeypatch):
    checkpoint = saved(BiasedMF(**SIZES), tmp_path / "model.ckpt")
    monkeypatch.setattr(onnx_model, "_export", lambda graph, path: shutil.copy(exported, path))
    with pytest.raises(RuntimeError, match="does not find the model's probabilities for 1 rows"):
        write_onnx(checkpoint, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    model = BiasedMF(**SIZES)
    with torch.no_grad():
        model.item_embedding.weight[3, :2] = value
    with pytest.raises(
        ValueError, match=r"model\.ckpt' cannot be exported: 2 of 56 values of item_embedding.weight are not"
    ):
        write_onnx(saved(model, tmp_path / "model.ckpt"), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt"]


class Stranger(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)


def test_other_files_are_refused(tmp_path):
    output = tmp_path / "model.onnx"
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*missing\.ckpt"):
        write_onnx(tmp_path / "missing.ckpt", output)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"text\.ckpt' cannot be read as a checkpoint"):
        write_onnx(tmp_path / "text.ckpt", output)
    with pytest.raises(ValueError, match="names no model; give the checkpoint of a model of this project"):
        write_onnx(saved(Stranger(), tmp_path / "stranger.ckpt"), output)
    checkpoint = torch.load(saved(BiasedMF(**SIZES), tmp_path / "model.ckpt"), weights_only=True)
    for path in ("torch.nn.Linear", "some.package.Model", "os.system"):
        checkpoint["hyper_parameters"]["_class_path"] = path
        torch.save(checkpoint, tmp_path / "other.ckpt")
        with pytest.raises(ValueError, match=f"of '{path}', which is no model of this project, and a checkpoint may"):
            write_onnx(tmp_path / "other.ckpt", output)
    checkpoint["hyper_parameters"]["_class_path"] = f"{__name__}.Stranger"
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="Stranger', which does not say what it computes outside a Trainer"):
        write_onnx(tmp_path / "other.ckpt", output)
    checkpoint["hyper_parameters"]["_class_path"] = "lightning_modules.recommenders.BiasedMF"
    del checkpoint["state_dict"]["user_bias.weight"]
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="does not fit BiasedMF"):
        write_onnx(tmp_path / "other.ckpt", output)
    assert not output.exists()


def test_missing_packages_and_models_that_are_too_large_are_named(tmp_path, monkeypatch):
    checkpoint = saved(BiasedMF(**SIZES), tmp_path / "model.ckpt")
    monkeypatch.setattr(onnx_model, "_LARGEST_BYTES", 100)
    with pytest.raises(ValueError, match="fewer or smaller embeddings"):
        write_onnx(checkpoint, tmp_path / "model.onnx")
    monkeypatch.setattr(onnx_model, "_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ValueError, match="pip install no_such_package"):
        write_onnx(checkpoint, tmp_path / "model.onnx")


@pytest.mark.slow
def test_the_packages_are_not_needed_before_they_are_used():
    program = (
        "import sys, lightning_modules.export; sys.exit(bool({'onnx', 'onnxscript', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0


def test_indices_beyond_the_tables_are_the_callers_to_refuse(exported):
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])

    def probability(user):
        return session.run(None, {"user": np.array([user]), "item": np.array([0])})[0]

    assert probability(-1) == probability(12)
    with pytest.raises(Exception, match="out of data bounds"):
        probability(13)


@pytest.mark.parametrize(
    "change",
    [
        {"state_dict": {1: [2]}},
        {"state_dict": None},
        {"hyper_parameters": {"embedding_dim": {"class_path": "os.system"}}},
        {"hyper_parameters": {"num_users": "x"}},
    ],
    ids=str,
)
def test_values_of_other_types_are_refused(change, tmp_path):
    checkpoint = torch.load(saved(BiasedMF(**SIZES), tmp_path / "model.ckpt"), weights_only=True)
    for name, value in change.items():
        checkpoint[name] = checkpoint[name] | value if name == "hyper_parameters" else value
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt'.*does not fit BiasedMF"):
        write_onnx(tmp_path / "other.ckpt", tmp_path / "model.onnx")
