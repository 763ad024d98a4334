"""A polish through the command line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from lightning_modules.cli.main import main
from lightning_modules.polish.training import PolishTraining
from tests.cli.cli_helpers import REPOSITORY
from tests.multitask.published_layouts import WRITERS

CONFIGS = sorted((REPOSITORY / "configs" / "agents").glob("*_polish.yaml"))
ARMS = ["base", "fine-tuned", "fine-tuned, 1 - 0.7 Q", "fine-tuned, -Q", "from scratch, 1 - 0.7 Q"]
DATA = ["--data=SyntheticImpressions", "--data.num_sessions=120", "--data.num_categories=[20,10]"]
MODEL = ["--model=ESMM", "--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
AGENT = ["--agent=DDPG", *(f"--polish.agent.{each}" for each in ("embed_dim=6", "bottom_mlp_dims=[9]", "gamma=0.8"))]
SHORT = ["--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--trainer.devices=1", "--fine_tuning_epochs=1"]
BUDGET = ["--seeds=2", "--agent_epochs=1", "--agent_rows=128", "--resamples=50"]
SMALL = ["polish", *DATA, *MODEL, *AGENT, *SHORT, *BUDGET]
POLISH = [*SMALL, "--variants", "one_minus_q", "minus_q", "--weightings=[]"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished polish; tests only read it."""
    folder = tmp_path_factory.mktemp("polish") / "polish"
    assert main([*POLISH, f"--root={folder}"]) == 0
    return folder


def hyper_parameters(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, weights_only=True)["hyper_parameters"]


def test_results_hold_a_row_for_every_arm_and_seed(root: Path) -> None:
    table = pd.read_csv(root / "results.csv")
    assert list(zip(table["seed"], table["arm"], strict=True)) == [(seed, arm) for seed in (42, 43) for arm in ARMS]
    assert table[["val_auc", "test_auc_click", "test_session_log_loss_conversion"]].notna().all(axis=None)
    assert "## Session log-loss less that of 'fine-tuned'" in (root / "summary.md").read_text()


def test_agent_and_model_keep_hyper_parameters_of_their_own(root: Path) -> None:
    agent, model = (hyper_parameters(root / "seed_42" / f"{name}.ckpt") for name in ("critics", "base"))
    assert agent["_class_path"] == "lightning_modules.agents.ddpg.DDPG"
    assert {name: agent[name] for name in ("embed_dim", "bottom_mlp_dims", "gamma", "batch_size")} == {
        "embed_dim": 6,
        "bottom_mlp_dims": [9],
        "gamma": 0.8,
        "batch_size": 512,
    }
    assert agent["actor"]["init_args"]["embedding_dim"] == 4
    assert model["_class_path"] == "lightning_modules.multitask.esmm.ESMM"
    assert (model["embedding_dim"], model["bottom_dims"]) == (4, [8])
    assert not {"embedding_dim", "bottom_dims", "loss"} & set(agent)
    assert not {"embed_dim", "gamma", "actor"} & set(model)


def test_checkpoints_serve_test_and_other_models(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = root / "seed_43" / "fine_tuned_Q.ckpt"
    assert main(["test", *DATA, *MODEL, "--trainer.accelerator=cpu", f"--ckpt_path={checkpoint}"]) == 0
    row = pd.read_csv(root / "results.csv").set_index(["seed", "arm"]).loc[(43, "fine-tuned, -Q")]
    assert f"{row['test_auc_click']:.6f}"[:7] in capsys.readouterr().out
    critics = ["--critics", str(root / "seed_42" / "critics.ckpt"), "--from_scratch=false"]
    one_arm = ["--variants=[minus_q]", "--weightings=[]", "--seeds=1"]
    assert main([*SMALL, *one_arm, "--model=MMoE", *critics, "--root=other"]) == 0
    assert pd.read_csv("other/results.csv")["arm"].tolist() == ["base", "fine-tuned", "fine-tuned, -Q"]
    assert not Path("other/seed_42/critics.ckpt").exists()


def test_a_second_run_trains_nothing_and_says_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing is left to train")

    before = (root / "summary.md").read_text()
    monkeypatch.setattr(PolishTraining, "train", refuse)
    assert main([*POLISH, f"--root={root}"]) == 0
    assert (root / "summary.md").read_text() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.num_sessions=130"], "data.init_args.num_sessions was 120 and is 130"),
        (["--polish_lambda=0.5"], "polish.polish_lambda was 0.7 and is 0.5"),
        (["--polish.agent.gamma=0.7"], "polish.agent.init_args.gamma was 0.8 and is 0.7"),
        (["--model=MMoE"], "model.class_path was lightning_modules.multitask.ESMM and is"),
    ],
)
def test_other_settings_are_refused_in_that_folder(
    options: list[str], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (root / "config.yaml").read_text()
    assert main([*POLISH, *options, f"--root={root}"]) == 1
    assert message in capsys.readouterr().err
    assert (root / "config.yaml").read_text() == before


@pytest.mark.parametrize("agent", ["TD3BC", pytest.param("DDPG", marks=pytest.mark.slow)])
def test_any_agent_and_loss_of_any_model(agent: str) -> None:
    loss = ["--model.loss", "(label - pred)**2", "--seeds=1", "--root=run", "--from_scratch=false"]
    one_arm = ["--variants=[minus_q]", "--weightings=[]", "--trainer.max_epochs=1"]
    assert main([*SMALL, *one_arm, "--model=SharedBottom", f"--polish.agent={agent}", *loss]) == 0
    assert hyper_parameters(Path("run/seed_42/critics.ckpt"))["_class_path"].endswith(agent)
    stored = hyper_parameters(Path("run/seed_42/fine_tuned_Q.ckpt"))["loss"]["init_args"]
    assert stored["base"]["init_args"]["formula"] == "(label - pred)**2"


def tiny(config: Path, folder: Path) -> list[str]:
    if config.stem.startswith("kuairand"):
        (folder / "data").mkdir()
        WRITERS["kuairand"](folder / "data")
        data = [f"--data.root={folder / 'data'}"]
    else:
        data = ["--data.num_sessions=200"]
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.accelerator=cpu"]
    return ["polish", f"--config={config}", *data, *short, "--agent_epochs=1", "--resamples=20", "--root=tiny"]


def test_the_files_are_found() -> None:
    assert [path.stem for path in CONFIGS] == ["kuairand_polish", "synthetic_polish"]


# The README's polish is that of the synthetic configuration.
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem.startswith("synthetic") else (), id=path.stem)
        for path in CONFIGS
    ],
)
@pytest.mark.filterwarnings("ignore:.*long_view without click")
def test_every_configuration_runs(config: Path, tmp_path: Path) -> None:
    assert main([*tiny(config, tmp_path), "--seeds=1"]) == 0
    table = pd.read_csv("tiny/results.csv")
    assert len(table) == 8
    assert (table["epoch"] > 0).all()


def test_another_model_keeps_the_sizes_and_the_optimizer(capsys: pytest.CaptureFixture[str]) -> None:
    config = REPOSITORY / "configs" / "agents" / "kuairand_polish.yaml"
    found = {}
    for model in ("ESMM", "MMoE", "PLE"):
        assert main(["polish", f"--config={config}", "--model", model, "--print_config"]) == 0
        found[model] = yaml.safe_load(capsys.readouterr().out)["model"]
        assert found[model]["class_path"].endswith(model)
    same = ("embedding_dim", "bottom_dims", "tower_dims", "dropout", "batch_norm", "optimizer")
    for model in ("MMoE", "PLE"):
        for name in same:
            assert found[model]["init_args"][name] == found["ESMM"]["init_args"][name]
    assert found["PLE"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.03
    assert found["PLE"]["init_args"]["bottom_dims"] == [128, 64]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--sedes=3"], 2, "there is no option --sedes; did you mean --seeds?"),
        (["--variants", "q"], 2, "needs one of one_minus_q"),
        (["--polish.agent=DPG"], 2, "--polish.agent: there is no class 'DPG'; did you mean DDPG?"),
        (["--polish.agent.gama=0.5"], 2, "DDPG has no argument 'gama'; did you mean gamma?"),
        (["--polish.agent.gamma=1.5"], 1, "gamma is the discount"),
        (["--polish.agent.batch_size=600000"], 1, "memory_size, the replay's capacity, must hold at least a batch"),
        (["--polish.agent=TD3BC", "--polish.agent.alpha=-1"], 1, "alpha must be above 0, got -1"),
        (["--weightings=[Uncertainty]"], 2, "did you mean UncertaintyWeighting?"),
        (["--polish_lambda=-1"], 1, "polish_lambda is -1.0, but must be >= 0"),
        (["--monitor=val/auk"], 1, "polish.monitor is val/auk, which validation does not give"),
        (["--critics=none.ckpt"], 1, "there is no checkpoint 'none.ckpt'"),
        (["--trainer.devices=2"], 1, "a polish trains in one process, got 2; set trainer.devices to 1"),
        (["--data.session_length=1"], 1, "training sessions has one row only"),
        (["--model.loss=[BCE,MSE]"], 1, "the model has one a task: name one loss"),
        (
            ["--data=SessionsDataModule", "--data.impressions=SyntheticImpressions", "--model=ESMM"],
            1,
            "polish takes a multi-task model",
        ),
        (["--data=SyntheticInteractions", "--model=BiasedMF"], 1, "not BiasedMF on SyntheticInteractions"),
    ],
)
def test_mistakes_are_told_in_a_line_before_anything_is_trained(
    options: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(PolishTraining, "train", refuse)
    # Options of other data and models would be mistakes of their own.
    given = ["polish", *AGENT, *SHORT, *BUDGET] if options[0].startswith("--data=") else POLISH
    assert main([*given, "--root=run", *options]) == status
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in error
    assert not Path("run").exists()
