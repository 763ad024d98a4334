"""Short command lines are spelled out before they are parsed."""

import json
from pathlib import Path

import pytest

from lightning_modules.cli.arguments import Shorthand, spell_out
from lightning_modules.cli.own_verbs import OWN_VERBS
from lightning_modules.losses import FormulaError, FormulaLoss, Loss
from lightning_modules.search.studies import Study

BASE = "--model.init_args.loss.init_args.base"


def compare(*arguments: str) -> list[str]:
    return OWN_VERBS["compare"].complete(arguments)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["--seeds", "5"], ["--compare.seeds=5"]),
        (["--seeds=5", "--compare.top", "3"], ["--compare.seeds=5", "--compare.top=3"]),
        (["--losses", "BCE", "MSE", "--seeds", "2"], ['--compare.losses=["BCE", "MSE"]', "--compare.seeds=2"]),
        (["--losses", "[BCE, MSE]"], ["--compare.losses=[BCE, MSE]"]),
        (["--losses", "null"], ["--compare.losses=null"]),
        (["--learning_rates", "1e-3", "0.01"], ["--compare.learning_rates=[1e-3,0.01]"]),
        (["--compare.weight_decays", "[1e-5,1e-4]"], ["--compare.weight_decays=[1e-5,1e-4]"]),
        (["--formulas", "-label", "pred + 1"], ['--compare.formulas=["-label", "pred + 1"]']),
        (["--formulas=-label * pred"], ['--compare.formulas=["-label * pred"]']),
        (["--model", "BiasedMF", "--data.root", "x y"], ["--model", "BiasedMF", "--data.root", "x y"]),
        (["--model.embedding_dim=8", "--trainer.devices", "2"], ["--model.embedding_dim=8", "--trainer.devices", "2"]),
        (["--save_checkpoints"], ["--compare.save_checkpoints"]),
        ([], []),
    ],
)
def test_own_options_need_no_prefix_and_lists_take_several_values(short: list[str], long: list[str]) -> None:
    assert compare(*short) == long


def test_search_and_check_have_their_own_options() -> None:
    assert OWN_VERBS["search"].complete(["--rounds", "3"]) == ["--search.rounds=3"]
    assert OWN_VERBS["check"].complete(["runs/a", "--formulas", "-pred", "label"]) == [
        "runs/a",
        '--formulas=["-pred", "label"]',
    ]
    assert Shorthand.of(OWN_VERBS["export"].settings, "").lists == {}


@pytest.mark.parametrize("option", ["--model.loss", "--model.init_args.loss", "--model.loss.base", BASE])
@pytest.mark.parametrize("equals", [True, False])
def test_a_loss_may_be_the_text_of_a_formula(option: str, equals: bool) -> None:
    text = "-label * log(pred)"
    (spelled,) = spell_out([f"{option}={text}"] if equals else [option, text])
    assert spelled.startswith(f"{option}=")
    loss = Loss.from_spec(json.loads(spelled.partition("=")[2]))
    assert isinstance(loss, FormulaLoss)
    assert loss.title == text


@pytest.mark.parametrize("name", ["BCE", "lightning_modules.losses.MSE", '{"class_path": "BCE"}'])
def test_a_loss_that_has_a_name_keeps_it(name: str) -> None:
    assert spell_out(["--model.loss", name]) == [f"--model.loss={name}"]


def test_a_loss_may_be_a_rank_in_a_study(study: Path) -> None:
    (spelled,) = spell_out(["--model.loss", f"{study}#2"])
    loss = Loss.from_spec(json.loads(spelled.partition("=")[2]))
    assert loss.spec() == Study.read(study).loss(2).spec()


def test_a_formula_that_cannot_be_read_and_a_rank_that_is_not_there(study: Path) -> None:
    with pytest.raises(FormulaError, match="unknown name 'lable'"):
        spell_out(["--model.loss", "lable - pred"])
    with pytest.raises(ValueError, match="no formula of rank 99"):
        spell_out(["--model.loss", f"{study}#99"])
    with pytest.raises(FileNotFoundError, match="holds no study"):
        spell_out(["--model.loss", "runs/none#1"])


def test_a_comparison_takes_model_data_and_trainer_from_the_study(study: Path) -> None:
    config, *rest = compare("--study", str(study))
    assert rest == [f"--compare.study={study}"]
    settings = json.loads(config.removeprefix("--config="))
    assert settings["model"]["class_path"].endswith("BiasedMF")
    assert settings["data"]["init_args"]["num_users"] == 60
    assert settings["trainer"]["accelerator"] == "cpu"
    assert "max_epochs" not in settings["trainer"]
    for named in (["--config", "x.yaml"], ["--model", "DeepMF"], ["--data=MovieLens"]):
        assert not any(each.startswith("--config={") for each in compare("--study", str(study), *named))
