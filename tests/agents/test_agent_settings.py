"""Settings of agents: the options that the parser offers, names and classes for the same thing, and what is refused."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from datamodules import AbsoluteErrorReward, LogLossReward
from lightning_modules.agents import (
    DDPG,
    TD3BC,
    ActorCritic,
    AgentSettings,
    NoisyActorActions,
    UniformActions,
)
from lightning_modules.agents.td3_bc import TD3BCSettings
from tests.agents.agent_helpers import ACTOR, AGENTS, FIELD_SIZES, SMALL, TASKS, agent, impressions, loader
from tests.trainer_helpers import quiet_trainer

EVERY_AGENT = pytest.mark.parametrize("kind", AGENTS)
SETTINGS: dict[type[ActorCritic], type[AgentSettings]] = {DDPG: AgentSettings, TD3BC: TD3BCSettings}


def parser_of(kind: type[ActorCritic]) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "model")
    return parser


@EVERY_AGENT
def test_every_setting_is_an_option_with_its_default_and_description(kind: type[ActorCritic]) -> None:
    offered = {action.dest.removeprefix("model."): action for action in parser_of(kind)._actions}
    defaults = {field.name: field.default for field in fields(SETTINGS[kind])}
    assert {name: offered[name].default for name in defaults} == defaults
    assert all(len(str(offered[name].help)) > 20 for name in defaults)
    assert {"field_sizes", "num_numerical", "tasks", "actor"} <= {*offered}
    assert not {"settings", "options"} & {*offered}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--model.reward=absolute_error", AbsoluteErrorReward),
        ("--model.reward=AbsoluteErrorReward", AbsoluteErrorReward),
        ("--model.behaviour=noisy_actor", NoisyActorActions),
        ("--model.behaviour=UniformActions", UniformActions),
    ],
)
def test_names_and_classes_are_options(given: str, expected: type) -> None:
    sizes = ["--model.field_sizes=[12,5]", "--model.num_numerical=2", "--model.tasks=[click,pay]"]
    parser = parser_of(DDPG)
    arguments = parser.parse_args([*sizes, "--model.actor", str(ACTOR), given])
    module = parser.instantiate(arguments).model
    assert any(type(each) is expected for each in (module.reward, module.behaviour))


@EVERY_AGENT
def test_a_class_in_place_of_a_name_learns_the_same_and_is_stored(kind: type[ActorCritic], tmp_path: Path) -> None:
    noise = {"noise_mean": 0.0, "noise_std": 0.3, "noise_clip": 0.2}
    learned = []
    for options in (
        {"reward": "log_loss", "behaviour": "noisy_actor"},
        {"reward": LogLossReward(), "behaviour": NoisyActorActions(std=0.3, clip=0.2)},
    ):
        torch.manual_seed(0)
        module, trainer = agent(kind, **noise, **options), quiet_trainer(max_epochs=1)
        trainer.fit(module, loader(impressions()))
        learned.append(module.state_dict())
    assert all(torch.equal(value, learned[1][name]) for name, value in learned[0].items())
    trainer.save_checkpoint(tmp_path / "agent.ckpt")
    loaded = kind.load_from_checkpoint(tmp_path / "agent.ckpt", weights_only=True)
    assert isinstance(loaded.reward, LogLossReward)
    assert isinstance(loaded.behaviour, NoisyActorActions)
    assert loaded.behaviour.init_args() == {"mean": 0.0, "std": 0.3, "clip": 0.2}


@EVERY_AGENT
def test_hyper_parameters_hold_every_setting_as_a_plain_value(kind: type[ActorCritic]) -> None:
    module = agent(kind, gamma=0.5, reward=LogLossReward())
    expected: dict[str, Any] = {field.name: field.default for field in fields(SETTINGS[kind])}
    expected |= {**SMALL, "gamma": 0.5, "reward": LogLossReward().spec()}
    assert {name: module.hparams[name] for name in expected} == expected
    assert {*module.hparams} == {*expected, "field_sizes", "num_numerical", "tasks", "actor"}
    assert (module.hparams["field_sizes"], module.hparams["tasks"]) == (FIELD_SIZES, TASKS)


@EVERY_AGENT
@pytest.mark.parametrize("name", ["gamma", "memory_size", "noise_std", "reward"])
def test_a_setting_without_a_value_is_refused(kind: type[ActorCritic], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} needs a value, got None"):
        agent(kind, **{name: None})


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        AgentSettings().gamma = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("options", [{"std": -0.1}, {"clip": -1.0}])
def test_noise_of_a_negative_size_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be at least 0"):
        NoisyActorActions(**options)
