"""Top-N models as ONNX files, which score all items for users or for histories."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.export.onnx_model import write_onnx
from lightning_modules.recommenders import EASE, IALS, MF, CatalogueRecommender, LightGCN, MostPopular
from tests.recommenders.top_n_helpers import ITEMS, USERS, feedback
from tests.trainer_helpers import quiet_trainer

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ADAM = partial(torch.optim.Adam, lr=0.05)
VECTORS = [
    partial(MF, embedding_dim=8, optimizer=ADAM),
    partial(MF, embedding_dim=8, similarity="dot", optimizer=ADAM),
    partial(LightGCN, embedding_dim=8, optimizer=ADAM),
    partial(IALS, embedding_dim=4),
]


def trained(kind, folder):
    """Return the checkpoint of a model after two epochs, and its scores of all users with all items."""
    data = feedback(folder / "data")
    torch.manual_seed(1)
    model = kind(data.num_users, data.num_items, cutoffs=(2, 5))
    trainer = quiet_trainer(max_epochs=2)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(folder / "model.ckpt")
    with torch.no_grad():
        scores = model.scorer()(torch.arange(USERS))
    return folder / "model.ckpt", scores.numpy(), data


def described(values):
    return [(each.name, each.type, each.shape[:1]) for each in values]


@pytest.mark.parametrize("kind", [*VECTORS, MostPopular], ids=lambda kind: getattr(kind, "func", kind).__name__)
def test_users_are_scored_with_all_items(kind, tmp_path):
    checkpoint, scores, _ = trained(kind, tmp_path)
    write_onnx(checkpoint, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert described(session.get_inputs()) == [("user", "tensor(int64)", ["rows"])]
    assert described(session.get_outputs()) == [("score", "tensor(float)", ["rows"])]
    for users in ([3], [0, USERS - 1, 3], [*range(USERS)] * 3):
        (found,) = session.run(None, {"user": np.array(users)})
        np.testing.assert_allclose(found, scores[users], rtol=1e-5, atol=1e-5)


def test_histories_are_scored_with_all_items(tmp_path):
    checkpoint, scores, data = trained(partial(EASE, l2=5.0), tmp_path)
    write_onnx(checkpoint, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["rows", "items"]
    items = data.items_of_training()
    chosen = [items.item[items.user == user].tolist() for user in range(USERS)]
    longest = max(map(len, chosen)) + 1
    history = np.array([[*each, *[-1] * (longest - len(each))] for each in chosen])
    (found,) = session.run(None, {"history": history})
    np.testing.assert_allclose(found, scores, rtol=1e-5, atol=1e-5)
    # The order of the items, and how often one is named, mean nothing.
    (again,) = session.run(None, {"history": np.concatenate([history[:5, ::-1], history[:5]], axis=1)})
    np.testing.assert_allclose(again, scores[:5], rtol=1e-5, atol=1e-5)
    (nothing,) = session.run(None, {"history": np.full((2, 1), -1)})
    np.testing.assert_array_equal(nothing, np.zeros((2, ITEMS)))


def test_a_graph_convolution_needs_the_vectors_of_its_checkpoint(tmp_path):
    checkpoint, _, _ = trained(VECTORS[2], tmp_path)
    held = torch.load(checkpoint, weights_only=True)
    vectors = held.pop("catalogue_vectors")
    torch.save(held, tmp_path / "old.ckpt")
    with pytest.raises(ValueError, match="does not hold them, since an earlier version wrote it: train it on"):
        write_onnx(tmp_path / "old.ckpt", tmp_path / "model.onnx")
    for wrong in (vectors[1:], vectors * torch.nan, "vectors"):
        torch.save({**held, "catalogue_vectors": wrong}, tmp_path / "other.ckpt")
        message = re.escape(f"no finite vectors of shape [{USERS + ITEMS}, 8]")
        with pytest.raises(ValueError, match=rf"other\.ckpt' does not fit LightGCN.*{message}"):
            write_onnx(tmp_path / "other.ckpt", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


class Unsaid(CatalogueRecommender):
    object_arguments = ()

    def scorer(self):
        return lambda user: torch.zeros(len(user), self.num_items)


def test_a_model_that_does_not_say_what_it_computes_is_refused(tmp_path: Path):
    trainer = quiet_trainer()
    trainer.strategy.connect(Unsaid(3, 4))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=r"Unsaid does not say .* override inference_graph\(\)"):
        write_onnx(tmp_path / "model.ckpt", tmp_path / "model.onnx")
