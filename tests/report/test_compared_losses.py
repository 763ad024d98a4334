"""Losses of a comparison are built again from its table, and named so that the command line builds the same."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

import lightning_modules.losses as known
from lightning_modules.check.sources import as_json
from lightning_modules.cli.main import main
from lightning_modules.losses import (
    BPR,
    BSL,
    MSE,
    PSL,
    DirectAU,
    Focal,
    FormulaLoss,
    Loss,
    LossObject,
    Numerics,
    RankingFormulaLoss,
    ScaledLoss,
    Talos,
)
from lightning_modules.report.compared_losses import described_loss, found_loss, option_of

LONG = " + ".join(["(label - pred)**2"] * 30)
POINTWISE = [
    MSE(),
    Focal(gamma=1.5),
    ScaledLoss(Focal(gamma=3.0), 0.5),
    FormulaLoss("-label * log(pred)"),
    FormulaLoss(LONG),
    FormulaLoss("pred"),
    FormulaLoss("(label - pred)**2", "autolossgen"),
    FormulaLoss("(label - pred)**2", Numerics(low=-math.inf, high=math.inf)),
]
LISTWISE = [
    DirectAU(),
    PSL(temperature=0.3),
    BSL(),
    Talos(k=5),
    RankingFormulaLoss("softplus(gap_t)"),
    RankingFormulaLoss("softplus(gap_t)", temperature=0.2),
    RankingFormulaLoss("softplus(gap_t) + softplus(beta - pos)", "autolossgen", 0.2, 5),
]
UNKNOWN = {"class_path": "lightning_modules.losses.Focal", "init_args": {"gamma": 1.0}}


class OwnLoss(MSE):
    """A loss whose class is none of the project's."""


@pytest.mark.parametrize("loss", [*POINTWISE, *LISTWISE, BPR()], ids=lambda loss: loss.identity[:60])
def test_a_described_loss_is_built_again(loss: LossObject) -> None:
    found = described_loss(as_json(loss))
    assert type(found) is type(loss)
    assert found.spec() == loss.spec()
    assert found.identity == loss.identity


@pytest.mark.parametrize("loss", [*POINTWISE, *LISTWISE], ids=lambda loss: loss.identity[:60])
def test_the_command_line_builds_the_loss_that_an_option_names(
    loss: LossObject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = {"model": "BiasedMF", "data": "SyntheticInteractions"}
    if loss in LISTWISE:
        sections = {"model": "MF", "data": "SyntheticFeedback"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(sections))
    command = ["fit", "--config", str(tmp_path / "own.yaml"), "--model.loss", option_of(loss)]
    assert main([*command, "--print_config"]) == 0
    named = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["loss"]
    assert LossObject.from_spec(named).spec() == loss.spec()


@pytest.mark.parametrize(
    ("loss", "option"),
    [
        (MSE(), "MSE"),
        (FormulaLoss("-label * log(pred)"), "-label * log(pred)"),
        (RankingFormulaLoss("softplus(gap_t)"), "softplus(gap_t)"),
        (Focal(gamma=1.0), '{"class_path": "lightning_modules.losses.Focal", "init_args": {"gamma": 1.0}}'),
    ],
    ids=["class", "formula", "formula of scores", "arguments"],
)
def test_an_option_is_as_short_as_it_may_be(loss: LossObject, option: str) -> None:
    assert option_of(loss) == option


@pytest.mark.parametrize(
    "spec",
    [
        None,
        1,
        [],
        {},
        {"class_path": "lightning_modules.losses.MSE"},
        {"class_path": "lightning_modules.losses.MSE", "init_args": []},
        {"class_path": "lightning_modules.losses.Loss", "init_args": {}},
        {"class_path": "lightning_modules.losses.Numerics", "init_args": {}},
        {"class_path": "lightning_modules.losses.loss_of_formula", "init_args": {"formula": "pred"}},
        {"class_path": "lightning_modules.losses.pointwise.os", "init_args": {}},
        {"class_path": "os.system", "init_args": {"command": "touch ran"}},
        {"class_path": "tests.report.test_compared_losses.OwnLoss", "init_args": {}},
        {**UNKNOWN, "init_args": {"gamma": "1"}},
        {**UNKNOWN, "init_args": {"gamma": True}},
        {**UNKNOWN, "init_args": {"gamma": math.nan}},
        {**UNKNOWN, "init_args": {"gamma": 10**400}},
        {**UNKNOWN, "init_args": {"gamma": [1.0]}},
        {**UNKNOWN, "init_args": {"alpha": 1.0}},
        {"class_path": "lightning_modules.losses.FormulaLoss", "init_args": {"formula": "lable"}},
        {
            "class_path": "lightning_modules.losses.FormulaLoss",
            "init_args": {"formula": "pred", "numerics": {"low": ""}},
        },
        {"class_path": "lightning_modules.losses.ScaledLoss", "init_args": {"loss": UNKNOWN, "factor": -1}},
        {
            "class_path": "lightning_modules.losses.ScaledLoss",
            "init_args": {"loss": {"class_path": "os.system", "init_args": {}}, "factor": 2.0},
        },
    ],
    ids=str,
)
def test_what_describes_no_loss_of_the_project_is_not_built(spec: Any) -> None:
    assert described_loss(json.dumps(spec)) is None


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_what_is_no_json_is_not_built(text: str) -> None:
    assert described_loss(text) is None


def test_all_classes_with_defaults_are_known() -> None:
    kinds = [getattr(known, name) for name in known.__all__]
    losses = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, LossObject)]
    with_defaults = [kind for kind in losses if kind not in (FormulaLoss, ScaledLoss)]
    built = [described_loss(as_json(kind())) for kind in with_defaults if not kind.__abstractmethods__]
    assert len(built) > 15
    assert None not in built


def test_the_table_says_more_than_the_title() -> None:
    loss = RankingFormulaLoss("softplus(gap_t)", "autolossgen", 0.2)
    found = found_loss(loss.identity, as_json(loss), Numerics(), 0.1)
    assert found.loss is not None
    assert found.loss.spec() == loss.spec()
    assert found.reference == found.option == as_json(loss)
    # Its class is not imported, but the user may do so.
    own = found_loss("OwnLoss", as_json(OwnLoss()), Numerics(), 0.1)
    assert own.loss is None
    assert LossObject.from_spec(json.loads(own.option)).title == "OwnLoss"


@pytest.mark.parametrize("spec", [math.nan, None, "", "[1]", "{"])
def test_a_table_of_an_earlier_version_has_titles_alone(spec: object) -> None:
    found = found_loss("(label - pred)**2", spec, Numerics(low=1e-5), 0.1)
    assert isinstance(found.loss, Loss)
    assert found.loss.identity == FormulaLoss("(label - pred)**2", "autolossgen").identity
    assert found.option == as_json(found.loss)
    assert found_loss("MSE", spec, Numerics(), 0.1).option == "MSE"
    unknown = found_loss("Focal(gamma=1.0)", spec, Numerics(), 0.1)
    assert (unknown.loss, unknown.option) == (None, "")
