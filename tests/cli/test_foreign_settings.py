"""What a folder of somebody else says is taken where it is figures and the project's own classes, and refused else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from datamodules.interactions import movielens
from lightning_modules.cli.checkpoint_settings import with_checkpoint_settings
from lightning_modules.cli.foreign_settings import known_section, plain_trainer, with_study_settings
from lightning_modules.cli.main import main

TOUCH = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}}
REMOVE = {"class_path": "pytorch_lightning.callbacks.LambdaCallback", "init_args": {"setup": "shutil.rmtree"}}
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}
MODEL = {
    "class_path": "lightning_modules.recommenders.BiasedMF",
    "init_args": {"embedding_dim": 4, "optimizer": ADAM, "loss": None},
}


@pytest.mark.parametrize(
    "section",
    [
        MODEL,
        {"class_path": "BiasedMF"},
        MODEL | {"init_args": {"loss": {"class_path": "lightning_modules.losses.Focal", "init_args": {"gamma": 1}}}},
        {"class_path": "datamodules.InteractionsDataModule", "init_args": {"root": "my/shop.csv", "ratios": [1, 2, 3]}},
        {"class_path": "datamodules.KuaiRand", "init_args": {"root": "shop.csv", "batch_size": 4}},
    ],
    ids=str,
)
def test_classes_of_the_project_are_taken_as_they_are(section: dict[str, Any]) -> None:
    assert known_section("model", section) == section


@pytest.mark.parametrize(
    "section",
    [
        [1],
        7,
        None,
        "BiasedMF",
        "settings.yaml",
        TOUCH,
        {"class_path": "os.system", "init_args": {"command": "touch ran"}},
        {"class_path": "pytorch_lightning.demos.boring_classes.BoringModel"},
        {"class_path": "Nothing"},
        {"class_path": 7},
        MODEL | {"init_args": [1]},
        MODEL | {"init_args": {"optimizer": TOUCH}},
        MODEL | {"init_args": {"optimizer": "os.system"}},
        MODEL | {"init_args": {"optimizer": "shutil.rmtree"}},
        MODEL | {"init_args": {"loss": "loss.yaml"}},
        MODEL | {"init_args": {"loss": [TOUCH]}},
        MODEL | {"init_args": {"more": {"deep": [TOUCH]}}},
        MODEL | {"dict_kwargs": {"more": "a.b"}},
        MODEL | {"also": 1},
        {"class_path": "datamodules.SessionsDataModule", "init_args": {"impressions": "other.yaml"}},
    ],
    ids=str,
)
def test_what_might_run_code_is_refused(section: Any) -> None:
    with pytest.raises(ValueError, match=r"^its |^the arguments of its "):
        known_section("model", section)


def test_a_class_named_alone_cannot_become_a_file() -> None:
    section = {"class_path": "BiasedMF", "init_args": {"loss": "BCE"}}
    assert known_section("model", section)["init_args"]["loss"] == {"class_path": "BCE"}


def test_of_a_trainer_figures_are_taken_and_code_is_named() -> None:
    figures = {"accelerator": "cpu", "devices": [0], "gradient_clip_val": 5.0, "deterministic": True}
    code = {"callbacks": [REMOVE], "logger": TOUCH, "plugins": [TOUCH], "default_root_dir": "/tmp"}
    others = {"profiler": None, "strategy": "auto", "max_epochs": 2, "enable_progress_bar": False}
    assert plain_trainer({**figures, **code, **others}) == (figures, [*code])
    assert plain_trainer({"accelerator": TOUCH, "precision": "os.path"}) == ({}, [])


def written(folder: Path, **settings: Any) -> list[str]:
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"search": {}, "model": MODEL, **settings}))
    return with_study_settings([f"--compare.study={folder}"], "compare")


def test_a_study_hands_on_no_callbacks(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the trainer's callbacks, logger are left out"):
        config, *_ = written(tmp_path / "study", trainer={"callbacks": [REMOVE], "logger": TOUCH, "accelerator": "cpu"})
    assert yaml.safe_load(config.partition("=")[2]) == {"model": MODEL, "trainer": {"accelerator": "cpu"}}


def test_a_study_downloads_nothing_unless_the_command_line_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[Path] = []
    monkeypatch.setattr(movielens, "fetch", lambda _, folder: fetched.append(folder))
    data = {"class_path": "MovieLens", "init_args": {"root": "ml", "download": True}}
    with pytest.warns(UserWarning, match=r"config.yaml' data.download is left out, .* add --data.download true"):
        config, option = written(tmp_path / "study", data=data)
    assert yaml.safe_load(config.partition("=")[2])["data"] == {"class_path": "MovieLens", "init_args": {"root": "ml"}}
    compare = ["compare", option, "--compare.losses=[BCE]", "--compare.root=run"]
    assert main(compare) == 1
    assert "set download to true" in capsys.readouterr().err
    assert fetched == []
    assert main([*compare, "--data.download=true"]) == 1
    assert fetched == [Path("ml")]


def test_a_checkpoint_downloads_nothing_unless_the_command_line_asks_for_it(tmp_path: Path) -> None:
    held = {"_class_path": "datamodules.MovieLens", "root": "ml", "download": True, "version": "1m"}
    torch.save({"datamodule_hyper_parameters": held}, tmp_path / "best.ckpt")
    test = [f"--ckpt_path={tmp_path / 'best.ckpt'}", "--data.download=true"]
    with pytest.warns(UserWarning, match=r"best.ckpt' data.download is left out"):
        config, *rest = with_checkpoint_settings(test)
    assert yaml.safe_load(config.partition("=")[2])["data"]["init_args"] == {"root": "ml", "version": "1m"}
    assert rest == test


def test_a_study_whose_model_might_run_code_is_refused_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config.yaml' is not taken over: its model is of the class subprocess.Popen"):
        written(tmp_path / "study", model=TOUCH)


def test_a_study_of_ones_own_classes_is_taken_over_with_its_metric_where_it_is_trusted(tmp_path: Path) -> None:
    model = {"class_path": "own_module.Net", "init_args": {"size": 40}}
    search = {"monitor": "val_auc", "mode": "max", "rounds": 3}
    study, trainer = tmp_path / "study", {"devices": 1, "max_epochs": 3, "callbacks": [TOUCH]}
    with pytest.raises(ValueError, match=r"is of the class own_module.Net.* add --trust_study true"):
        written(study, model=model, search=search, trainer=trainer)
    arguments = [f"--compare.study={study}", "--compare.trust_study=true"]
    config, *rest = with_study_settings(arguments, "compare")
    assert yaml.safe_load(config.partition("=")[2]) == {
        "model": model,
        "compare": {"monitor": "val_auc", "mode": "max"},
        "trainer": {"devices": 1},
    }
    assert rest == arguments
    with pytest.raises(ValueError, match="is not taken over"):
        with_study_settings([*arguments, "--compare.trust_study=false"], "compare")


@pytest.mark.parametrize("verb", [["check"], ["export"], ["compare", "--study"]], ids=str)
def test_no_verb_runs_what_a_study_names(verb: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("study").mkdir()
    settings = {"search": {"strategy": TOUCH, "numerics": TOUCH}, "model": TOUCH, "trainer": {"callbacks": [TOUCH]}}
    Path("study", "config.yaml").write_text(yaml.safe_dump(settings))
    assert main([*verb, "study"]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert not Path("ran").exists()
