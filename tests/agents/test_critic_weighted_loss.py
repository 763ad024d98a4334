from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD

from datamodules.batches import Batch, ImpressionBatch
from lightning_modules.agents import CriticWeightedLoss, NonPositiveCritic
from lightning_modules.losses import BCE, MSE, FormulaLoss, Loss
from lightning_modules.multitask import ESMM, MetaHeac, MMoE, MultiTaskModel, SharedBottom, SingleTask
from lightning_modules.recommenders import BiasedMF
from tests.agents.stored_agents import write_agent
from tests.multitask.multitask_helpers import FIELD_SIZES, MODELS, build, loader, planted
from tests.trainer_helpers import quiet_trainer

TASKS = ("click", "cart")
VARIANTS = ["one_minus_q", "constant", "label_q", "minus_q"]
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture
def agent(tmp_path: Path) -> str:
    write_agent(tmp_path / "agent.ckpt", FIELD_SIZES, 2, TASKS)
    return str(tmp_path / "agent.ckpt")


@pytest.fixture
def critics(agent: str) -> list[NonPositiveCritic]:
    """The critics that the fixture's file holds."""
    return write_agent(Path(agent), FIELD_SIZES, 2, TASKS)


def rows(count: int = 64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logits, labels and features."""
    batch = planted(count)
    logit = 2 * torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
    return logit, batch.label, batch.categorical, batch.numerical


def values(critics: list[NonPositiveCritic], logit: Tensor, categorical: Tensor, numerical: Tensor) -> np.ndarray:
    probability = (1 / (1 + torch.exp(-logit))).detach()
    with torch.no_grad():
        columns = [critic(categorical, numerical, probability[:, k]) for k, critic in enumerate(critics)]
    return torch.stack(columns, dim=1).numpy()


def weights_by_hand(variant: str, value: np.ndarray, label: np.ndarray, polish_lambda: float) -> np.ndarray:
    return {
        "one_minus_q": 1 + polish_lambda * abs(value),
        "constant": np.ones_like(value),
        "label_q": np.where(label == 1, abs(value), 0),
        "minus_q": abs(value),
    }[variant]


def cross_entropy(logit: Tensor, label: Tensor) -> np.ndarray:
    p, y = 1 / (1 + np.exp(-logit.detach().numpy().astype(float))), label.numpy()
    return -np.where(y == 1, np.log(p), np.log(1 - p))


@every_variant
@pytest.mark.parametrize("polish_lambda", [0.7, 2.0])
def test_every_row_and_task_has_the_weight_of_its_value(
    agent: str, critics: list[NonPositiveCritic], variant: Any, polish_lambda: float
) -> None:
    logit, label, *features = rows()
    loss = CriticWeightedLoss(agent, polish_lambda=polish_lambda, variant=variant)
    value = values(critics, logit, *features)
    assert value.max() < 0
    assert value.std(axis=0).min() > 0.05
    expected = weights_by_hand(variant, value, label.numpy(), polish_lambda)
    np.testing.assert_allclose(loss.weights(logit, label, *features), expected, rtol=1e-4)
    np.testing.assert_allclose(loss.of_rows(logit, label, *features), expected * cross_entropy(logit, label), rtol=1e-4)


def test_the_value_is_that_of_the_models_own_prediction(agent: str) -> None:
    logit, label, *features = rows()
    loss = CriticWeightedLoss(agent)
    moved = loss.weights(logit + 1, label, *features) - loss.weights(logit, label, *features)
    assert moved.abs().max() > 0.01


@every_variant
def test_the_gradient_is_that_of_the_base_times_the_weight(agent: str, variant: Any) -> None:
    logit, label, *features = rows()
    logit.requires_grad_()
    loss = CriticWeightedLoss(agent, variant=variant)
    loss.of_rows(logit, label, *features).sum().backward()
    expected = loss.weights(logit, label, *features) * (torch.sigmoid(logit) - label)
    torch.testing.assert_close(logit.grad, expected.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model_class", MODELS)
def test_every_model_trains_with_it_and_no_critic_does(
    model_class: type[MultiTaskModel], agent: str, critics: list[NonPositiveCritic]
) -> None:
    torch.manual_seed(0)
    model = build(model_class, loss=CriticWeightedLoss(agent))
    before = [parameter.clone() for parameter in model.parameters()]
    quiet_trainer(max_epochs=1).fit(model, loader(planted(256)))
    pairs = list(zip(before, model.parameters(), strict=True))
    assert all(torch.isfinite(after).all() for _, after in pairs)
    assert any(not torch.equal(*pair) for pair in pairs)
    logit, label, *features = rows()
    # Dropout of one half would show, had the model's training mode reached the critics.
    weights = model.loss.train().weights(logit, label, *features)
    np.testing.assert_allclose(weights, 1 - values(critics, logit, *features), rtol=1e-4)
    assert not any("critic" in name for name in model.loss.state_dict())


@pytest.mark.parametrize("model_class", [ESMM, MMoE, MetaHeac, SingleTask])
@pytest.mark.parametrize("options", [{"polish_lambda": 0.0}, {"variant": "constant"}], ids=str)
def test_without_lambda_it_trains_bit_for_bit_as_the_base_does(
    model_class: type[MultiTaskModel], options: dict[str, Any], agent: str
) -> None:
    states = []
    for loss in (BCE(), CriticWeightedLoss(agent, **options), CriticWeightedLoss(agent)):
        torch.manual_seed(0)
        model = build(model_class, loss=loss, dropout=0.2)
        quiet_trainer(max_epochs=2).fit(model, loader(planted(256), shuffle=True))
        states.append(nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("base", [MSE(), FormulaLoss("(label - pred)**2")], ids=lambda base: base.title)
def test_any_loss_is_weighted(agent: str, base: Loss) -> None:
    logit, label, *features = rows()
    loss = CriticWeightedLoss(agent, base, polish_lambda=0.7)
    squared = (torch.sigmoid(logit) - label) ** 2
    torch.testing.assert_close(loss.of_rows(logit, label, *features), squared * loss.weights(logit, label, *features))


def test_the_weights_of_an_epoch_are_logged(agent: str, critics: list[NonPositiveCritic], tmp_path: Path) -> None:
    logger = pl.loggers.CSVLogger(tmp_path)
    batch = planted(1000)
    model = build(SharedBottom, dropout=0.0, batch_norm=False, loss=CriticWeightedLoss(agent, polish_lambda=0.7))
    model.optimizer = lambda parameters: SGD(parameters, lr=0.0)
    quiet_trainer(max_epochs=2, logger=logger, log_every_n_steps=1).fit(model, loader(batch), loader(planted(64)))
    table = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    features = batch.categorical, batch.numerical
    weights = 1 - 0.7 * values(critics, model.eval()(*features), *features)
    for k, task in enumerate(TASKS):
        expected = {
            "mean": weights[:, k].mean(),
            "std": weights[:, k].std(),
            **{f"q{share:02}": np.quantile(weights[:, k], share / 100) for share in (5, 50, 95)},
        }
        for name, value in expected.items():
            logged = table[f"weight/{task}/{name}"].dropna()
            assert logged.to_numpy() == pytest.approx([value, value], rel=1e-3)


def test_evaluation_leaves_the_statistics_alone(agent: str) -> None:
    loss = CriticWeightedLoss(agent)
    loss.eval().of_rows(*rows())
    assert dict(loss.statistics()) == {}
    loss.train().of_rows(*rows())
    assert len(dict(loss.statistics())) == 10
    loss.reset()
    assert dict(loss.statistics()) == {}


@pytest.mark.parametrize("model_class", [ESMM, MMoE])
def test_a_trained_model_is_plain_data_and_needs_no_agent(
    model_class: type[MultiTaskModel], agent: str, tmp_path: Path
) -> None:
    loss = CriticWeightedLoss(agent, FormulaLoss("(label - pred)**2"), 0.7, "label_q")
    model, trainer = build(model_class, loss=loss), quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(planted(256)))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    stored = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert stored["state_dict"].keys() == build(model_class).state_dict().keys()
    Path(agent).unlink()
    loaded = model_class.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert loaded.loss.spec() == loss.spec()
    test = loader(planted(512))
    (before,), (after,) = (quiet_trainer().test(each, test, verbose=False) for each in (model, loaded))
    assert after == pytest.approx(before)
    with pytest.raises(FileNotFoundError, match=r"agent\.ckpt"):
        quiet_trainer(max_epochs=1).fit(loaded, loader(planted(256)))


def test_its_title_is_the_weight_and_the_base() -> None:
    agent = "agent.ckpt"
    loss = CriticWeightedLoss(agent, FormulaLoss("-label * log(pred)"), 0.5, "minus_q")
    assert loss.title == "(-Q) * -label * log(pred)"
    assert CriticWeightedLoss(agent, polish_lambda=0.7).title == "(1 - 0.7 Q) * BCE"
    assert CriticWeightedLoss(agent).identity != CriticWeightedLoss("other.ckpt").identity


def test_low_precision_does_not_reach_the_weights(agent: str, critics: list[NonPositiveCritic]) -> None:
    logit, label, *features = rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = CriticWeightedLoss(agent).weights(logit, label, *features)
    np.testing.assert_allclose(weights, 1 - values(critics, logit, *features), rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_critics_follow_the_rows_to_another_device(agent: str, critics: list[NonPositiveCritic]) -> None:
    on_cpu = rows()
    loss = CriticWeightedLoss(agent)
    loss.of_rows(*on_cpu)
    on_gpu = [each.cuda() for each in on_cpu]
    torch.testing.assert_close(loss.of_rows(*on_gpu).cpu(), loss.of_rows(*on_cpu), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("field_sizes", "num_numerical", "tasks", "message"),
    [
        ((10,), 2, TASKS, "1 categorical fields where the loss has 2"),
        ((10, 30), 2, TASKS, "30 indices in field 1 where the loss has 20"),
        (FIELD_SIZES, 3, TASKS, "3 numerical features where the loss has 2"),
        (FIELD_SIZES, 2, ("click", "pay"), "the tasks click, pay where the loss has click, cart"),
        (FIELD_SIZES, 2, ("cart", "click"), "the tasks cart, click where the loss has click, cart"),
        ((10,), 2, ("click",), "1 categorical fields where the loss has 2; the tasks click where"),
    ],
)
def test_another_datas_agent_is_refused_before_training(
    field_sizes: tuple[int, ...], num_numerical: int, tasks: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    write_agent(tmp_path / "other.ckpt", field_sizes, num_numerical, tasks)
    model = build(SharedBottom, loss=CriticWeightedLoss(str(tmp_path / "other.ckpt")))
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    with pytest.raises(ValueError, match=message):
        quiet_trainer(max_epochs=1).fit(model, loader(planted(256)), loader(planted(64)))
    assert torch.equal(nn.utils.parameters_to_vector(model.parameters()), before)


def test_it_is_no_loss_of_one_task_among_several(agent: str) -> None:
    model = build(SharedBottom, loss=[BCE(), CriticWeightedLoss(agent)])
    with pytest.raises(ValueError, match=r"the tasks click, cart where the loss has cart.*for all tasks of a model"):
        quiet_trainer(max_epochs=1).fit(model, loader(planted(256)))
    with pytest.raises(ValueError, match=r"1 predictions a row.* 2 tasks"):
        model.task_losses(planted(64))


def test_rows_of_other_data_are_refused_where_no_trainer_asked(agent: str) -> None:
    logit, label, categorical, numerical = rows()
    with pytest.raises(ValueError, match=r"1 categorical fields, 2 numerical.*knows 2 fields, 2 features and 2 tasks"):
        CriticWeightedLoss(agent).of_rows(logit, label, categorical[:, :1], numerical)
    categorical[3, 0] = 10
    with pytest.raises(ValueError, match=r"field 0 of the batch has the index 10.*10 indices.*0 to 9"):
        CriticWeightedLoss(agent).of_rows(logit, label, categorical, numerical)


def test_files_that_are_no_agents_are_refused_before_training(tmp_path: Path) -> None:
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(build(SharedBottom), loader(planted(256)))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    for name, message in (("model.ckpt", "SharedBottom, not of an agent"), ("text.ckpt", "cannot be read")):
        model = build(SharedBottom, loss=CriticWeightedLoss(str(tmp_path / name)))
        with pytest.raises(ValueError, match=message):
            quiet_trainer(max_epochs=1).fit(model, loader(planted(256)))
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        CriticWeightedLoss(str(tmp_path / "none.ckpt")).of_rows(*rows())


@pytest.mark.parametrize("polish_lambda", [-0.1, float("nan"), float("inf")])
def test_impossible_lambdas_are_refused(polish_lambda: float) -> None:
    with pytest.raises(ValueError, match="polish_lambda must be"):
        CriticWeightedLoss("agent.ckpt", polish_lambda=polish_lambda)


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="no variant 'q' of the weights; choose among one_minus_q, constant"):
        CriticWeightedLoss("agent.ckpt", variant="q")  # type: ignore[arg-type]


def test_a_model_without_features_is_told_what_it_takes(agent: str) -> None:
    model = BiasedMF(num_users=5, num_items=5, loss=CriticWeightedLoss(agent))
    user = torch.arange(4)
    with pytest.raises(ValueError, match="only multi-task models hand to their loss"):
        model.training_step(Batch(user, user, torch.ones(4)))


def test_two_rows_are_enough(agent: str) -> None:
    model = build(MetaHeac, loss=CriticWeightedLoss(agent))
    batch = planted(4)
    model.mean_task_losses(ImpressionBatch(*(column[:3] for column in batch))).mean().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained)
