"""Multi-task models and agents as ONNX files, which give rows of features every task's probability."""

import json
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.export import ExportSettings, run_export
from lightning_modules.export.onnx_model import write_onnx
from lightning_modules.multitask import SharedBottom
from tests.agents.agent_helpers import AGENTS, agent, impressions
from tests.multitask.multitask_helpers import MODELS, TASKS, build, planted
from tests.trainer_helpers import quiet_trainer

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def saved(model: pl.LightningModule, path: Path) -> Path:
    trainer = quiet_trainer()
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def session_of(path: Path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def found_in(session, batch):
    feed = {"categorical": batch.categorical.numpy(), "numerical": batch.numerical.numpy()}
    return [torch.from_numpy(each) for each in session.run(["probability", "logit"], feed)]


@pytest.mark.parametrize("model_class", MODELS)
def test_the_file_predicts_what_the_model_predicts(model_class, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, batch = build(model_class, num_tasks=3), planted(300, num_tasks=3)
    with torch.no_grad():
        # BatchNorm then has statistics other than those that it starts with.
        for _ in range(5):
            model.train()(batch.categorical, batch.numerical)
    write_onnx(saved(model, tmp_path / "model.ckpt"), tmp_path / "model.onnx")
    session = session_of(tmp_path / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["tasks"]) == list(TASKS)
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("categorical", "tensor(int64)", ["rows", 2]),
        ("numerical", "tensor(float)", ["rows", 2]),
    ]
    model.eval()
    for rows in (1, 3, 300):
        part = type(batch)(*(column[:rows] for column in batch))
        probability, logit = found_in(session, part)
        with torch.no_grad():
            torch.testing.assert_close(probability, model.predict_step(part), rtol=0, atol=1e-5)
            torch.testing.assert_close(logit, model.logit_step(part), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", AGENTS)
def test_of_an_agent_it_is_the_actor(kind, tmp_path: Path) -> None:
    model, batch = agent(kind).eval(), impressions()
    write_onnx(saved(model, tmp_path / "agent.ckpt"), tmp_path / "agent.onnx")
    probability, _ = found_in(session_of(tmp_path / "agent.onnx"), batch)
    with torch.no_grad():
        torch.testing.assert_close(probability, model.predict_step(batch), rtol=0, atol=1e-5)


def test_a_model_without_numerical_features_has_an_empty_input(tmp_path: Path, capsys) -> None:
    model, batch = build(SharedBottom, num_numerical=0).eval(), planted(num_numerical=0)
    path = run_export(ExportSettings(str(saved(model, tmp_path / "model.ckpt")), to="onnx"))
    said = capsys.readouterr().out
    assert "int64 arrays categorical [rows, 2], float32 arrays numerical [rows, 0]" in said
    assert 'The tasks, in the order of the outputs\' columns: ["click", "cart"]' in said
    feed = {"categorical": batch.categorical.numpy(), "numerical": np.zeros((64, 0), np.float32)}
    (probability,) = session_of(path).run(["probability"], feed)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(probability), model.predict_step(batch), rtol=0, atol=1e-5)
