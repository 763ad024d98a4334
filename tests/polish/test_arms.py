"""Which trainings a polish compares, and what they train with."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.agents import CriticWeightedLoss
from lightning_modules.losses import MSE
from lightning_modules.multitask import ConstantWeights, DynamicWeightAveraging, UncertaintyWeighting
from lightning_modules.polish import PolishSettings
from lightning_modules.polish.arms import Arm, arms, check_arms
from tests.agents.stored_agents import write_agent
from tests.polish.polish_helpers import ARMS, small_data, small_model

CRITICS = Path("critics.ckpt")


def names(**options: Any) -> list[str]:
    return [arm.name for arm in arms(PolishSettings(**options))]


def arm_of(name: str, **options: Any) -> Arm:
    return next(arm for arm in arms(PolishSettings(**options)) if arm.name == name)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ARMS[1:]),
        ({"from_scratch": False}, ARMS[1:5]),
        ({"variants": ["minus_q"]}, ["fine-tuned", "fine-tuned, -Q", "from scratch, -Q", *ARMS[6:]]),
        ({"variants": []}, ["fine-tuned", *ARMS[6:]]),
        ({"variants": ["constant"]}, ["fine-tuned", *ARMS[6:]]),
        ({"variants": ["constant", "minus_q"], "from_scratch": False}, ["fine-tuned", "fine-tuned, -Q"]),
        (
            {"polish_lambda": 2.0, "variants": ["one_minus_q"], "weightings": []},
            ["fine-tuned", "fine-tuned, 1 - 2 Q", "from scratch, 1 - 2 Q"],
        ),
    ],
)
def test_the_arms_of_settings(options: dict[str, Any], expected: list[str]) -> None:
    assert names(**options) == expected


def test_weightings_have_names_of_their_own() -> None:
    given = [ConstantWeights([1, 2]), ConstantWeights([2, 1]), DynamicWeightAveraging(), DynamicWeightAveraging(1.0)]
    assert names(variants=[], weightings=given)[1:] == [
        "from scratch, ConstantWeights(weights=[1, 2])",
        "from scratch, ConstantWeights(weights=[2, 1])",
        "from scratch, DynamicWeightAveraging",
        "from scratch, DynamicWeightAveraging(temperature=1.0)",
    ]
    with pytest.raises(ValueError, match="weightings has one of them twice: 'from scratch, UncertaintyWeighting'"):
        names(weightings=[UncertaintyWeighting(), UncertaintyWeighting()])


@pytest.mark.parametrize(
    ("name", "variant"),
    [(ARMS[2], "one_minus_q"), (ARMS[3], "label_q"), (ARMS[4], "minus_q"), (ARMS[5], "one_minus_q")],
)
def test_critics_weigh_the_models_own_loss(name: str, variant: str) -> None:
    model = small_model(small_data(), loss=MSE())
    own = model.loss
    arm_of(name).equip(model, CRITICS)
    assert isinstance(model.loss, CriticWeightedLoss)
    assert model.loss.base is own
    assert (model.loss.agent, model.loss.variant, model.loss.polish_lambda) == ("critics.ckpt", variant, 0.7)


def test_the_control_keeps_loss_and_weighting() -> None:
    model = small_model(small_data())
    loss, weighting = model.loss, model.weighting
    arm_of("fine-tuned").equip(model, CRITICS)
    assert (model.loss, model.weighting) == (loss, weighting)


def test_every_training_has_a_weighting_of_its_own() -> None:
    arm = arm_of(ARMS[6])
    first, second = (small_model(small_data()) for _ in range(2))
    for model in (first, second):
        arm.equip(model, CRITICS)
        assert isinstance(model.weighting, UncertaintyWeighting)
    with torch.no_grad():
        first.weighting.log_variance.fill_(3.0)  # type: ignore[operator]
    assert second.weighting.log_variance.tolist() == [0.0, 0.0]  # type: ignore[operator]
    assert any(parameter is first.weighting.log_variance for parameter in first.parameters())


def test_critics_cannot_weigh_one_loss_a_task() -> None:
    data = small_data()

    def build() -> Any:
        return small_model(data, loss=[MSE(), MSE()])

    with pytest.raises(ValueError, match=r"the model has one a task: name one loss, or compare without critics"):
        check_arms(arms(PolishSettings()), build, None)
    check_arms(arms(PolishSettings(variants=[])), build, None)


def test_critics_of_other_data_are_refused(tmp_path: Path) -> None:
    data, path = small_data(), str(tmp_path / "agent.ckpt")

    def check() -> None:
        check_arms(arms(PolishSettings()), lambda: small_model(data), path)

    with pytest.raises(FileNotFoundError, match=r"agent.ckpt"):
        check()
    write_agent(tmp_path / "agent.ckpt", data.field_sizes, data.num_numerical, data.tasks)
    check()
    write_agent(tmp_path / "agent.ckpt", data.field_sizes, data.num_numerical, ["click", "purchase"])
    with pytest.raises(ValueError, match="it has the tasks click, purchase where the loss has click, conversion"):
        check()


def test_a_weighting_of_other_tasks_is_refused() -> None:
    data = small_data()
    with pytest.raises(ValueError, match="3 task weights and 2 tasks"):
        check_arms(arms(PolishSettings(weightings=[ConstantWeights([1, 1, 1])])), lambda: small_model(data), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "polish.seeds is 0, but a polish needs at least 1"),
        ({"agent_rows": 0}, "agent_rows is 0"),
        ({"threads": -1}, "cannot be negative"),
        ({"polish_lambda": -0.1}, "polish_lambda is -0.1, but must be >= 0"),
        ({"polish_lambda": float("nan")}, "polish_lambda is nan"),
        ({"fine_tuning_learning_rate": 0.0}, "fine_tuning_learning_rate is 0.0, but must be > 0"),
        ({"confidence": 1.0}, "confidence lies in"),
        ({"variants": ["minus_q", "minus_q"]}, "one of them is there twice"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PolishSettings(**options)
