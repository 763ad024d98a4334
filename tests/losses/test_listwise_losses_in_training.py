"""All listwise losses train a model, and a training that is resumed within an epoch ends as if it had gone on."""

import copy
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from datamodules import InBatchNegatives
from lightning_modules import losses
from lightning_modules.losses import ListwiseLoss
from lightning_modules.recommenders import MF
from tests.losses.listwise_cases import offered_listwise
from tests.recommenders.top_n_helpers import feedback
from tests.trainer_helpers import quiet_trainer

LOSSES: list[ListwiseLoss] = [
    losses.SampledBPR(0.2),
    losses.SampledBCE(0.2, average=True),
    losses.SampledSoftmax(0.2),
    losses.BSL(pool_positives=True),
    losses.PSL(),
    losses.SLatK(k=5, samples=20, renewal=2),
    losses.Talos(k=5, quantile_learning_rate=0.05),
    losses.CCL(margin=0.1, weight=2.0),
    losses.SampledWARP(),
    losses.DirectAU(),
    losses.RankingFormulaLoss("sigmoid(pos - beta) * logmeanexp(gap_t) / (1 + log_popularity)", temperature=0.2, k=5),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def test_every_loss_is_trained_on() -> None:
    assert {type(loss) for loss in LOSSES} == offered_listwise()


def trained(loss: ListwiseLoss, folder: Path, checkpoint: Path | None = None) -> pl.Trainer:
    """Train for six epochs of eight steps each, with a checkpoint in the middle of the second."""
    torch.manual_seed(1)
    optimizer = partial(torch.optim.Adam, lr=0.03)
    model = MF(40, 30, embedding_dim=8, cutoffs=(5,), loss=copy.deepcopy(loss), optimizer=optimizer)
    kept = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=13, save_top_k=-1)
    trainer = quiet_trainer(max_epochs=6, callbacks=[kept], enable_checkpointing=True)
    data = feedback(folder / "data", negatives=InBatchNegatives(log_q=True))
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer


@every_loss
def test_a_model_learns_and_a_training_that_is_resumed_ends_the_same(loss: ListwiseLoss, tmp_path: Path) -> None:
    whole = trained(loss, tmp_path)
    # Five of the 24 or so items that are left are a fifth.
    assert whole.callback_metrics["val/recall@5"] > 0.3
    checkpoint = torch.load(tmp_path / "step=13.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["loss"] == loss.spec()
    assert checkpoint["state_dict"].keys() == MF(40, 30).state_dict().keys()
    resumed = trained(loss, tmp_path, tmp_path / "step=13.ckpt")
    assert resumed.global_step == whole.global_step == 48
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
