"""What a checkpoint of an agent holds, and how a training goes on from it."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.agents import DDPG, ActorCritic, load_critics
from lightning_modules.multitask import ESMM, MMoE, SharedBottom, SingleTask, UncertaintyWeighting
from tests.agents.agent_helpers import (
    AGENTS,
    SMALL,
    TASKS,
    agent,
    copied,
    evaluation_loader,
    impressions,
    loader,
    replayed,
)
from tests.trainer_helpers import quiet_trainer

EVERY_AGENT = pytest.mark.parametrize("kind", AGENTS)
SIZES: dict[str, Any] = {"embedding_dim": 4, "bottom_dims": [8], "tower_dims": [4]}


class SaveAt(pl.Callback):
    """Writes a checkpoint after one batch of one epoch, or at that epoch's end."""

    def __init__(self, path: Path, epoch: int, batch: int | None) -> None:
        self.path, self.epoch, self.batch = path, epoch, batch

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if self.batch is None and trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


class Logged(pl.Callback):
    """All values of every epoch; of the first only what a resumed epoch logs too."""

    def __init__(self) -> None:
        self.epochs: dict[int, dict[str, float]] = {}

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self._take(trainer, trainer.current_epoch - 1)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self._take(trainer, trainer.current_epoch - 1)

    def _take(self, trainer: Any, epoch: int) -> None:
        self.epochs[epoch] = {name: float(value) for name, value in trainer.callback_metrics.items()}


def fitted(module: ActorCritic, *callbacks: pl.Callback, **options: Any) -> dict[str, Any]:
    trainer = quiet_trainer(max_epochs=4, callbacks=list(callbacks))
    rows = impressions()
    if "ckpt_path" in options:
        options["weights_only"] = True
    trainer.fit(module, loader(rows), evaluation_loader(rows), **options)
    return copied(module)


@EVERY_AGENT
@pytest.mark.parametrize("batch", [1, None], ids=["inside an epoch", "at its end"])
def test_a_resumed_training_ends_bit_for_bit_where_another_does(
    kind: type[ActorCritic], batch: int | None, tmp_path: Path
) -> None:
    options = {"behaviour": "noisy_actor", "actor_reg": 0.1, "init_training_step": 3, "memory_size": 130}
    torch.manual_seed(0)
    whole, resumed = Logged(), Logged()
    path = tmp_path / "stopped.ckpt"
    expected = fitted(agent(kind, **options), SaveAt(path, 1, batch), whole)
    torch.manual_seed(123)
    module = agent(kind, **options)
    ended = fitted(module, resumed, ckpt_path=path)
    assert expected.keys() == ended.keys()
    for name, value in expected.items():
        assert torch.equal(value, ended[name]), name
    assert module.updates == 16
    for epoch in (2, 3):
        assert whole.epochs[epoch] == resumed.epochs[epoch]
    losses = {name for name in whole.epochs[1] if name.startswith("train/")}
    assert {name: resumed.epochs[1][name] for name in losses} == {name: whole.epochs[1][name] for name in losses}


@EVERY_AGENT
def test_a_checkpoint_needs_no_other_file_and_no_pickle(kind: type[ActorCritic], tmp_path: Path) -> None:
    actor = ESMM((12, 5), 2, TASKS, **SIZES, weighting=UncertaintyWeighting())
    quiet_trainer(max_epochs=0).fit(actor, loader(impressions()))
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, max_epochs=0)
    trainer.strategy.connect(actor)
    trainer.save_checkpoint(tmp_path / "actor.ckpt")
    module = agent(kind, actor=str(tmp_path / "actor.ckpt"))
    weights = {name: value for name, value in actor.state_dict().items() if not name.startswith("weighting")}
    for part in (module.actor, module.actor_target, module.reference):
        torch.testing.assert_close(dict(part.state_dict()), weights, rtol=0, atol=0)
    fitted(module, SaveAt(tmp_path / "agent.ckpt", 0, 2))
    (tmp_path / "actor.ckpt").unlink()
    stored = torch.load(tmp_path / "agent.ckpt", weights_only=True)
    assert stored["hyper_parameters"]["actor"]["class_path"].endswith("ESMM")
    loaded = kind.load_from_checkpoint(tmp_path / "agent.ckpt", weights_only=True)
    torch.testing.assert_close(dict(loaded.state_dict()), stored["state_dict"], rtol=0, atol=0)
    assert type(loaded.actor) is ESMM
    assert len(loaded.replay) == 0
    rows = impressions(seed=5)
    stored_scores = quiet_trainer().test(loaded, evaluation_loader(rows), verbose=False)[0]
    assert {"test/score", "test/score/click", "test/auc/pay", "test/log_loss/click"} <= set(stored_scores)


def test_critics_are_read_from_a_checkpoint(tmp_path: Path) -> None:
    module = agent(DDPG, dropout=0.5)
    fitted(module, SaveAt(tmp_path / "agent.ckpt", 3, 3))
    critics, rows = load_critics(tmp_path / "agent.ckpt"), replayed()
    inputs = rows.categorical, rows.numerical, rows.action
    torch.testing.assert_close(critics(*inputs), module.eval().critics(*inputs))
    assert (critics.field_sizes, critics.num_numerical, critics.tasks) == ((12, 5), 2, TASKS)
    assert not critics.training
    assert not any(parameter.requires_grad for parameter in critics.parameters())


def saved(model: pl.LightningModule, path: Path) -> str:
    trainer = quiet_trainer()
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return str(path)


@pytest.mark.parametrize("model", [MMoE, SharedBottom, SingleTask])
def test_any_models_checkpoint_is_an_actor_and_none_is_an_agent(model: Any, tmp_path: Path) -> None:
    trained = model((12, 5), 2, TASKS, **SIZES)
    path = saved(trained, tmp_path / "model.ckpt")
    module, rows = agent(DDPG, actor=path), replayed()
    expected = torch.sigmoid(trained.eval()(rows.categorical, rows.numerical))
    torch.testing.assert_close(module.eval()(rows.categorical, rows.numerical), expected)
    with pytest.raises(ValueError, match=rf"checkpoint of {model.__name__}, not of an agent"):
        load_critics(path)


def test_a_model_is_copied_and_left_alone() -> None:
    model = SharedBottom((12, 5), 2, TASKS, **SIZES)
    before, mode = copied(model), model.training
    trained = [parameter.requires_grad for parameter in model.parameters()]
    fitted(agent(DDPG, actor=model))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training == mode
    assert [parameter.requires_grad for parameter in model.parameters()] == trained


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((12, 6), 2, TASKS), "6 indices in field 1 where the data has 5"),
        (((12, 5, 3), 2, TASKS), "3 categorical fields where the data has 2"),
        (((12, 5), 1, TASKS), "1 numerical features where the data has 2"),
        (((12, 5), 2, ("click", "cart")), "the tasks click, cart where the data has click, pay"),
    ],
)
def test_an_actor_of_other_data_is_refused(arguments: Any, message: str, tmp_path: Path) -> None:
    path = saved(SharedBottom(*arguments, **SIZES), tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=message) as error:
        DDPG((12, 5), 2, TASKS, actor=path, **SMALL)
    assert path in str(error.value)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    text, weights, other = tmp_path / "text.ckpt", tmp_path / "weights.ckpt", tmp_path / "linear.ckpt"
    text.write_text("no checkpoint")
    torch.save({"weight": torch.zeros(3)}, weights)
    torch.save({"state_dict": {"weight": torch.zeros(3)}, "hyper_parameters": {"_class_path": "os.path"}}, other)
    for path, message in [(text, "cannot be read"), (weights, "no weights"), (other, "names 'os.path'")]:
        with pytest.raises(ValueError, match=message):
            agent(DDPG, actor=str(path))
    for path, message in [(text, "cannot be read"), (weights, "no weights"), (other, "not of an agent")]:
        with pytest.raises(ValueError, match=message):
            load_critics(path)
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        agent(DDPG, actor=str(tmp_path / "none.ckpt"))
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        load_critics(tmp_path / "none.ckpt")


def test_a_description_that_fits_no_model_is_refused() -> None:
    for actor, message in [
        ({"class_path": "Nothing"}, "names 'Nothing'"),
        ({"init_args": {}}, "names no model"),
        ({"class_path": "ESMM", "init_args": {"depth": 3}}, "do not fit ESMM"),
        ({"class_path": "ESMM", "init_args": {"tasks": ["a"]}}, "the tasks a where the data has click, pay"),
    ]:
        with pytest.raises(ValueError, match=message):
            agent(DDPG, actor=actor)


@EVERY_AGENT
def test_an_actor_is_in_evaluation_mode_before_any_training(kind: type[ActorCritic], tmp_path: Path) -> None:
    model = SharedBottom((12, 5), 2, TASKS, **SIZES).eval()
    module = agent(kind, actor=model)
    rows = impressions()
    with torch.no_grad():
        assert torch.equal(
            module(rows.categorical, rows.numerical), torch.sigmoid(model(rows.categorical, rows.numerical))
        )
    fitted(module, SaveAt(tmp_path / "agent.ckpt", 0, 1))
    for made in (agent(kind), kind.load_from_checkpoint(tmp_path / "agent.ckpt", weights_only=True)):
        targets = [target for _, target in made.critic_pairs()]
        assert not any(each.training for each in (made.actor, made.actor_target, made.reference, *targets))
        assert all(critics.training for critics, _ in made.critic_pairs())
