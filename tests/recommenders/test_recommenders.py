from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from sklearn.metrics import log_loss, roc_auc_score
from torch.optim import SGD, Adam

from datamodules import SyntheticInteractions
from datamodules.batches import Batch, PairBatch
from lightning_modules.losses import BCE, BPR, MSE, FormulaLoss, Loss, MisfitError, RankNetLoss
from lightning_modules.recommenders import BiasedMF, DeepMF, RankNet, Recommender
from lightning_modules.recommenders.metrics import NAMES
from tests.recommenders.recommender_helpers import MODELS, build, planted_data
from tests.trainer_helpers import quiet_trainer

every_model = pytest.mark.parametrize("model_class", MODELS)


@pytest.fixture(scope="module")
def data() -> SyntheticInteractions:
    return planted_data()


class History(pl.Callback):
    """Keeps what every epoch logged and the loss of every step."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.losses: list[list[float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses.append([])

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.losses[-1].append(float(arguments[2]["loss"]))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fit(model: Recommender, data: SyntheticInteractions, epochs: int = 4) -> History:
    history = History()
    quiet_trainer(max_epochs=epochs, callbacks=[history]).fit(model, datamodule=data)
    return history


def test_there_are_models_to_test() -> None:
    assert set(MODELS) == {BiasedMF, DeepMF, RankNet}


@every_model
def test_training_lowers_the_loss_and_raises_the_validation_auc(
    model_class: type[Recommender], data: SyntheticInteractions
) -> None:
    torch.manual_seed(0)
    model = build(model_class, data, optimizer=lambda parameters: Adam(parameters, lr=0.02))
    before = quiet_trainer().validate(model, datamodule=data, verbose=False)[0]["val/auc"]
    history = fit(model, data)
    losses = [sum(steps) / len(steps) for steps in history.losses]
    assert losses[-1] < losses[0] - 0.05
    assert history.epochs[-1]["val/auc"] > max(before, 0.5) + 0.1


@every_model
def test_logged_training_loss_is_the_mean_of_the_epochs_steps(
    model_class: type[Recommender], data: SyntheticInteractions
) -> None:
    history = History()
    trainer = quiet_trainer(max_epochs=2, callbacks=[history])
    trainer.fit(build(model_class, data), datamodule=data)
    expected = sum(history.losses[-1]) / len(history.losses[-1])
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-5)


@every_model
def test_logits_and_probabilities_have_one_value_a_row(
    model_class: type[Recommender], data: SyntheticInteractions
) -> None:
    model = build(model_class, data).eval()
    batch = Batch(torch.tensor([0, 1, 5]), torch.tensor([2, 0, 3]), torch.ones(3))
    logit = model(batch.user, batch.item)
    assert logit.shape == (3,)
    torch.testing.assert_close(model.predict_step(batch), 1 / (1 + torch.exp(-logit)))


@every_model
def test_test_metrics_are_those_of_the_predictions(model_class: type[Recommender], data: SyntheticInteractions) -> None:
    model = build(model_class, data, init_std=0.3)
    trainer = quiet_trainer()
    logged = trainer.test(model, datamodule=data, verbose=False)[0]
    probability = torch.cat(trainer.predict(model, datamodule=data)).double()
    label = data.rows["test"].label
    assert set(logged) == {f"test/{name}" for name in NAMES}
    assert logged["test/auc"] == pytest.approx(roc_auc_score(label, probability), abs=1e-5)
    assert logged["test/log_loss"] == pytest.approx(log_loss(label, probability), abs=1e-4)


@every_model
def test_the_same_seed_trains_the_same_weights(model_class: type[Recommender], data: SyntheticInteractions) -> None:
    states = []
    for seed in (3, 3, 4):
        pl.seed_everything(seed, verbose=False)
        model = build(model_class, data)
        fit(model, data, epochs=2)
        states.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@every_model
@pytest.mark.parametrize("loss", [BCE(), MSE(), FormulaLoss("(pred - label)**2")], ids=lambda loss: str(loss))
def test_any_pointwise_loss_trains_any_model(
    model_class: type[Recommender], loss: torch.nn.Module, data: SyntheticInteractions
) -> None:
    model = build(model_class, data)
    model.loss = loss
    before = [parameter.detach().clone() for parameter in model.parameters()]
    fit(model, data, epochs=1)
    after = list(model.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


@every_model
@pytest.mark.parametrize("loss", [BPR(), RankNetLoss()], ids=lambda loss: str(loss))
def test_pairwise_losses_are_for_models_that_train_on_pairs(
    model_class: type[Recommender], loss: Loss, data: SyntheticInteractions
) -> None:
    model = build(model_class, data, loss=loss)
    if model.trains_on_pairs:
        fit(model, data, epochs=1)
    else:
        with pytest.raises(
            MisfitError, match=rf"{loss.title} wants a difference and {model_class.__name__} gives a logit"
        ):
            fit(model, data, epochs=1)


@every_model
@pytest.mark.parametrize("formula", ["label", "1 + label", "pred - pred + label"])
def test_a_formula_without_a_prediction_trains_no_model(
    model_class: type[Recommender], formula: str, data: SyntheticInteractions
) -> None:
    with pytest.raises(MisfitError, match="no prediction in it"):
        fit(build(model_class, data, loss=FormulaLoss(formula)), data, epochs=1)


def test_a_model_that_returns_probabilities_is_refused_in_its_first_step(data: SyntheticInteractions) -> None:
    class Squashed(BiasedMF):
        def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(super().forward(user, item))

    for loss in (BCE(), MSE()):
        with pytest.raises(MisfitError, match="comes out of a sigmoid"):
            fit(build(Squashed, data, loss=loss), data, epochs=1)


@every_model
def test_predictions_that_are_not_finite_give_nan_metrics(
    model_class: type[Recommender], data: SyntheticInteractions
) -> None:
    model = build(model_class, data)
    with torch.no_grad():
        model.item_embedding.weight.fill_(float("nan"))
    logged = quiet_trainer().validate(model, datamodule=data, verbose=False)[0]
    assert all(value != value for value in logged.values())


@pytest.mark.parametrize(
    ("model_class", "count"),
    [
        # 7 users and 5 items of 64, a bias each, the global bias
        (BiasedMF, (7 + 5) * 64 + (7 + 5) + 1),
        # embeddings; three Linear layers with biases; weight and bias of two BatchNorms
        (DeepMF, (7 + 5) * 64 + (128 * 64 + 64) + (64 * 16 + 16) + (16 + 1) + 2 * 64 + 2 * 16),
        (RankNet, (7 + 5) * 64 + (128 * 64 + 64) + (64 * 16 + 16) + (16 + 1) + 2 * 64 + 2 * 16),
    ],
)
def test_parameter_counts(model_class: type[Recommender], count: int) -> None:
    model = model_class(num_users=7, num_items=5)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_scores_that_only_count_by_their_differences_have_no_trained_bias() -> None:
    names = {"batch_norm": ["mlp.0.bias", "mlp.4.bias", "mlp.8.bias"], "plain": ["mlp.6.bias"]}
    for kind, untrained in names.items():
        model = RankNet(num_users=7, num_items=5, batch_norm=kind == "batch_norm")
        assert [name for name, each in model.named_parameters() if not each.requires_grad] == untrained
    assert DeepMF(num_users=7, num_items=5).mlp[-1].bias.requires_grad


def test_biased_mf_is_its_formula() -> None:
    model = BiasedMF(num_users=4, num_items=3, embedding_dim=2, init_std=1.0)
    torch.nn.init.normal_(model.user_bias.weight)
    p, q = model.user_embedding.weight[2], model.item_embedding.weight[1]
    expected = p[0] * q[0] + p[1] * q[1] + model.user_bias.weight[2, 0] + model.item_bias.weight[1, 0] + 0.1
    torch.testing.assert_close(model(torch.tensor([2]), torch.tensor([1])), expected[None])


def test_ranknet_gets_pairs_and_its_loss_is_that_of_score_differences(data: SyntheticInteractions) -> None:
    seen: list[type] = []

    class Watched(RankNet):
        def sample_loss(self, batch: PairBatch) -> torch.Tensor:
            seen.append(type(batch))
            return super().sample_loss(batch)

    fit(build(Watched, data), data, epochs=1)
    assert set(seen) == {PairBatch}

    model = build(RankNet, data, init_std=1.0).eval()
    batch = PairBatch(torch.tensor([1, 2]), torch.tensor([3, 4]), torch.tensor([5, 6]))
    difference = model(batch.user, batch.positive_item) - model(batch.user, batch.negative_item)
    torch.testing.assert_close(model.sample_loss(batch), torch.log1p(torch.exp(-difference)))


def test_ranknet_normalises_both_items_together(data: SyntheticInteractions) -> None:
    model = build(RankNet, data, dropout=0.0, init_std=1.0).train()
    user = torch.arange(1, 9)
    batch = PairBatch(user, torch.full((8,), 1), torch.full((8,), 2))
    apart = model(user, batch.positive_item) - model(user, batch.negative_item)
    together = torch.log(torch.expm1(model.sample_loss(batch))).neg()
    assert not torch.allclose(apart, together, atol=1e-3)


def test_step_losses_reach_the_logger_every_few_steps(data: SyntheticInteractions, tmp_path: Any) -> None:
    logger = pl.loggers.CSVLogger(tmp_path)
    trainer = quiet_trainer(max_epochs=2, logger=logger, log_every_n_steps=10)
    trainer.fit(build(BiasedMF, data), datamodule=data)
    steps = pd.read_csv(Path(logger.log_dir) / "metrics.csv").dropna(subset="train/loss_step")["step"].tolist()
    assert steps == list(range(9, trainer.global_step, 10))
    assert len(steps) >= 4


def test_the_given_optimizer_gets_all_parameters(data: SyntheticInteractions) -> None:
    model = build(BiasedMF, data, optimizer=lambda parameters: SGD(parameters, lr=0.5))
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, SGD)
    assert len(optimizer.param_groups[0]["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize(("clip", "is_fused"), [(None, True), (1e-3, False)])
def test_the_usual_optimizer_trains_in_half_precision_as_in_single_with_clipped_gradients_too(
    data: SyntheticInteractions, clip: float | None, is_fused: bool
) -> None:
    trained = []
    for plugins in ([], [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]):
        trainer = quiet_trainer(max_epochs=3, plugins=plugins, gradient_clip_val=clip, gradient_clip_algorithm="value")
        pl.seed_everything(0)
        trainer.fit(build(BiasedMF, data), datamodule=data)
        trained.append(trainer)
    single, half = ([*trainer.lightning_module.parameters()] for trainer in trained)
    for one, other in zip(single, half, strict=True):
        assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()])).min() > 0.99 or one.numel() == 1
    assert trained[1].optimizers[0].param_groups[0]["fused"] == is_fused


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="num_items=0"):
        BiasedMF(num_users=3, num_items=0)


@pytest.mark.parametrize("model", [BiasedMF, DeepMF])
def test_a_negative_standard_deviation_is_refused(model: type[BiasedMF]) -> None:
    with pytest.raises(ValueError, match=r"init_std .* got -3"):
        model(2, 2, init_std=-3)
