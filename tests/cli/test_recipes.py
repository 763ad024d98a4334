"""What a recipe that says nothing of it has: clipping in the verbs that train many, and the optimizer in words."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_modules.cli.main import main
from lightning_modules.core.default_optimizer import explicit_optimizer
from lightning_modules.multitask import ESMM
from lightning_modules.recommenders import BiasedMF
from tests.cli.cli_helpers import DATA, MODEL, SEARCH, TRAINER, without_seconds


def trainer_of(verb: str, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([verb, *MODEL, *DATA, *options, "--print_config"]) == 0
    trainer: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)["trainer"]
    return trainer


@pytest.mark.parametrize("verb", ["search", "compare", "polish"])
def test_verbs_that_train_many_clip_gradients(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = trainer_of(verb, capsys)
    assert (trainer["gradient_clip_val"], trainer["gradient_clip_algorithm"]) == (50.0, "value")
    assert trainer_of(verb, capsys, "--trainer.gradient_clip_val=null")["gradient_clip_val"] is None
    Path("recipe.yaml").write_text("trainer: {gradient_clip_val: 1.0, gradient_clip_algorithm: norm}\n")
    trainer = trainer_of(verb, capsys, "--config=recipe.yaml")
    assert (trainer["gradient_clip_val"], trainer["gradient_clip_algorithm"]) == (1.0, "norm")


def test_a_fit_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert trainer_of("fit", capsys)["gradient_clip_val"] is None


def optimizer_in(path: Path) -> Any:
    return yaml.safe_load(path.read_text())["model"]["init_args"]["optimizer"]


@pytest.mark.usefixtures("_undrawn")
def test_a_study_says_its_optimizer_and_is_repeated_with_other_defaults(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = optimizer_in(study / "config.yaml")
    assert optimizer["class_path"] == "torch.optim.Adam"
    defaults = torch.optim.Adam([torch.zeros(1)]).defaults
    own = {"lr": 2e-3, "weight_decay": 1e-4, "fused": True, "betas": [0.9, 0.999]}
    assert optimizer["init_args"] == {**defaults, **own}
    monkeypatch.setattr(BiasedMF, "default_learning_rate", 0.5)
    assert main(["search", f"--config={study / 'config.yaml'}", "--search.root=again"]) == 0
    assert without_seconds(Path("again")).equals(without_seconds(study))


def test_a_fit_and_its_checkpoint_say_their_optimizer() -> None:
    assert main(["fit", *MODEL, *DATA, *TRAINER]) == 0
    run = Path("lightning_logs/version_0")
    stored = torch.load(run / "resume" / "last.ckpt", weights_only=True)
    assert stored["hyper_parameters"]["optimizer"] == optimizer_in(run / "config.yaml")
    group = stored["optimizer_states"][0]["param_groups"][0]
    assert (group["lr"], group["weight_decay"]) == (2e-3, 1e-4)
    assert optimizer_in(run / "config.yaml")["init_args"]["lr"] == 2e-3


@pytest.mark.usefixtures("_undrawn")
def test_a_study_that_left_its_optimizer_out_goes_on_with_the_same_one(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SEARCH, "--search.root=older"]
    assert main([*command, "--search.rounds=1"]) == 0
    settings = yaml.safe_load(Path("older/config.yaml").read_text())
    settings["model"]["init_args"]["optimizer"] = None
    Path("older/config.yaml").write_text(yaml.safe_dump(settings))
    assert main([*command, "--model.optimizer=SGD"]) == 1
    assert "model.init_args.optimizer.class_path was torch.optim.Adam and is torch.optim.SGD" in capsys.readouterr().err
    assert main(command) == 0


def test_only_a_null_of_the_models_own_is_written_out() -> None:
    def words(cls: type, **arguments: Any) -> Any:
        return explicit_optimizer({"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": arguments})

    expected = words(ESMM, optimizer=None)["init_args"]
    assert (expected["lr"], expected["weight_decay"]) == (1e-3, 1e-6)
    assert words(ESMM) is None
    assert words(ESMM, optimizer={"class_path": "torch.optim.SGD"}) is None
    assert words(Deciding, optimizer=None) is None
    assert explicit_optimizer(None) is None


class Deciding(BiasedMF):
    """Has an optimizer of its own."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_file_that_the_user_has_written_is_not_overwritten_with_the_settings_of_a_run() -> None:
    # A logger without folders of its own.
    here = {"class_path": "CSVLogger", "init_args": {"save_dir": ".", "name": "", "version": ""}}
    quiet = [*TRAINER, "--trainer.enable_checkpointing=false"]
    Path("config.yaml").write_text(text := "# my own\nseed_everything: 7\n")
    with pytest.warns(UserWarning, match=r"config.yaml' is not overwritten .* --trainer.default_root_dir"):
        assert main(["fit", "--config=config.yaml", *DATA, *MODEL, *quiet, f"--trainer.logger={json.dumps(here)}"]) == 0
    assert Path("config.yaml").read_text() == text
    here["init_args"]["save_dir"] = "run"
    for seed in (1, 2):
        run = ["fit", *DATA, *MODEL, *quiet, f"--trainer.logger={json.dumps(here)}", f"--seed_everything={seed}"]
        assert main(run) == 0
        assert yaml.safe_load(Path("run/config.yaml").read_text())["seed_everything"] == seed
