"""Short command lines are spelled out before they are parsed."""

import json
from pathlib import Path

import pytest

from lightning_modules.cli.shorthand import spell_out
from lightning_modules.cli.subcommands import OWN_VERBS
from lightning_modules.losses import FormulaError, FormulaLoss, Loss
from lightning_modules.search.study import Study

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
        (["--save_checkpoints"], ["--compare.save_checkpoints=true"]),
        (["--save_checkpoints", "false", "--seeds", "2"], ["--compare.save_checkpoints=false", "--compare.seeds=2"]),
        (["--losses", "Focal"], ['--compare.losses=["Focal"]']),
        (["--losses", "BCE,MSE"], ['--compare.losses=["BCE", "MSE"]']),
        (["--losses", '{"class_path": "Focal"}', "BCE"], ['--compare.losses=[{"class_path": "Focal"}, "BCE"]']),
        (["--losses", '[{"class_path": "Focal"}]'], ['--compare.losses=[{"class_path": "Focal"}]']),
        (["--losses"], ["--compare.losses"]),
        (["--grid", "{loss.gamma: [1, 2]}"], ["--compare.grid={loss.gamma: [1, 2]}"]),
        (["--formulas", "max(pred, label)"], ['--compare.formulas=["max(pred, label)"]']),
        (["--baseline", "Focal", "--baseline.gamma", "3"], ["--compare.baseline=Focal", "--compare.baseline.gamma=3"]),
        (["--baseline.help", "Focal"], ["--compare.baseline.help=Focal"]),
        ([], []),
    ],
)
def test_own_options_need_no_prefix_and_lists_take_several_values(short: list[str], long: list[str]) -> None:
    assert compare(*short) == long


def test_search_and_check_have_their_own_options() -> None:
    assert OWN_VERBS["search"].complete(["--rounds", "3"]) == ["--search.rounds=3"]
    assert OWN_VERBS["export"].complete(["--overwrite", "runs/a"]) == ["--overwrite=true", "runs/a"]
    assert OWN_VERBS["check"].complete(["runs/a", "--formulas", "-pred", "label"]) == [
        "runs/a",
        '--formulas=["-pred", "label"]',
    ]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["--space.operators", "add", "log"], ['--search.space.operators=["add", "log"]']),
        (["--space.operators", "add,log"], ['--search.space.operators=["add", "log"]']),
        (["--space.operators", "[add,log]"], ["--search.space.operators=[add,log]"]),
        (
            ["--search.space.operators=[add]", "--space.nodes", "3"],
            ["--search.space.operators=[add]", "--search.space.nodes=3"],
        ),
        (["--space.help"], ["--search.space.help"]),
        (["--strategy", "PPO", "--strategy.clip=0.1"], ["--search.strategy=PPO", "--search.strategy.clip=0.1"]),
        (["--ladder", "1,3"], ["--search.ladder=[1,3]"]),
        (["--ladder", "1", "3"], ["--search.ladder=[1,3]"]),
    ],
)
def test_arguments_of_the_classes_that_a_verb_names_need_no_prefix_either(short: list[str], long: list[str]) -> None:
    assert OWN_VERBS["search"].complete(short) == long


def test_a_list_among_the_settings_of_an_agent_takes_several_values() -> None:
    completed = OWN_VERBS["polish"].complete(["--agent.bottom_mlp_dims", "8", "4", "--seeds", "2"])
    assert completed == ["--polish.agent.bottom_mlp_dims=[8,4]", "--polish.seeds=2"]


@pytest.mark.parametrize("verb", ["compare", "search"])
def test_a_verb_takes_the_text_of_a_formula_for_a_loss(verb: str) -> None:
    option = {"compare": "--losses", "search": "--references"}[verb]
    (spelled,) = OWN_VERBS[verb].complete([option, "-label * pred", "BCE"])
    formula, name = json.loads(spelled.partition("=")[2])
    assert Loss.from_spec(formula).title == "-label * pred"
    assert name == "BCE"
    (spelled,) = OWN_VERBS[verb].complete(["--baseline", "-label * pred"])
    assert Loss.from_spec(json.loads(spelled.partition("=")[2])).title == "-label * pred"


def test_a_loss_that_is_no_object_and_one_without_pred() -> None:
    with pytest.raises(ValueError, match=r"\{Focal\} is no JSON object .*; one looks like \{\"class_path\""):
        compare("--losses", "{Focal}")
    with pytest.raises(ValueError, match="loss '3' has no pred"):
        spell_out(["--model.loss", "3"])


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
    assert rest == [f'--compare.study=["{study}"]']
    settings = json.loads(config.removeprefix("--config="))
    assert settings["model"]["class_path"].endswith("BiasedMF")
    assert settings["data"]["init_args"]["num_users"] == 60
    assert settings["trainer"]["accelerator"] == "cpu"
    assert "max_epochs" not in settings["trainer"]
    for named in (["--config", "x.yaml"], ["--model", "DeepMF"], ["--data=MovieLens"]):
        assert not any(each.startswith("--config={") for each in compare("--study", str(study), *named))


@pytest.mark.parametrize(
    ("settings", "is_taken"),
    [
        ("compare: {seeds: 2}", True),
        ("model: BiasedMF", False),
        ("data: {class_path: MovieLens}", False),
        ("model: null", False),
        ("model: {", False),
        ("- 1", False),
    ],
)
@pytest.mark.parametrize("option", ["--config", "-c"])
def test_a_file_that_names_neither_model_nor_data_leaves_those_of_the_study(
    option: str, settings: str, is_taken: bool, study: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(settings)
    for config in (str(tmp_path / "own.yaml"), settings):
        given = [option, config, f'--compare.study=["{study}"]']
        spelled = compare(option, config, "--study", str(study))
        # What the study says comes first, so that the file counts.
        assert spelled[-3:] == given
        assert [each.partition("=")[0] for each in spelled[:-3]] == ["--config"] * is_taken
