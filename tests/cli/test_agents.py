"""Agents through the command line."""

import contextlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from datamodules import SyntheticImpressions
from lightning_modules.cli.main import main
from tests.cli.cli_helpers import TRAINER

IMPRESSIONS = ["SyntheticImpressions", "num_sessions=300", "session_length=4"]
DATA = [
    "--data=SessionsDataModule",
    f"--data.impressions={IMPRESSIONS[0]}",
    *(f"--data.impressions.{option}" for option in IMPRESSIONS[1:]),
    "--data.batch_size=256",
]
ACTOR = ["--model=ESMM", "--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
SMALL = [
    *("--model.embed_dim=4", "--model.bottom_mlp_dims=[8]", "--model.tower_mlp_dims=[4]", "--model.memory_size=2000"),
    *("--model.batch_size=64", "--model.init_training_step=1"),
]


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a model that the command line trained on the same impressions."""
    folder = tmp_path_factory.mktemp("actor")
    data = [f"--data={IMPRESSIONS[0]}", *(f"--data.{option}" for option in IMPRESSIONS[1:])]
    assert main(["fit", *ACTOR, *data, *TRAINER, f"--trainer.default_root_dir={folder}"]) == 0
    return next(folder.rglob("*.ckpt"))


@pytest.fixture(scope="module")
def fitted(actor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of agents that were trained with a copy of the actor's file; tests only read them."""
    root = tmp_path_factory.mktemp("agents")
    for agent in ("DDPG", "TD3BC"):
        (root / agent).mkdir()
        with contextlib.chdir(root / agent):
            shutil.copy(actor, "actor.ckpt")
            assert main(["fit", *model_of(agent), *DATA, *TRAINER]) == 0
    return root


def model_of(agent: str) -> list[str]:
    return [f"--model={agent}", "--model.actor=actor.ckpt", *SMALL]


def checkpoint() -> Path:
    return next(Path("lightning_logs").rglob("*.ckpt"))


@pytest.mark.parametrize("agent", ["DDPG", "TD3BC"])
def test_an_agent_is_trained_measured_and_acts(agent: str, fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(agent)
    shutil.copytree(fitted / agent, ".", dirs_exist_ok=True)
    stored = torch.load(checkpoint(), weights_only=True)["hyper_parameters"]
    assert stored["_class_path"].endswith(agent)
    assert stored["actor"]["init_args"]["embedding_dim"] == 4
    for verb in ("validate", "test"):
        capsys.readouterr()
        assert main([verb, *model, *DATA, *TRAINER, f"--ckpt_path={checkpoint()}"]) == 0
        assert f"{'val' if verb == 'validate' else verb}/score/conversion" in capsys.readouterr().out
    assert main(["predict", *model, *DATA, *TRAINER, f"--ckpt_path={checkpoint()}"]) == 0
    table = pd.read_csv("predictions.csv")
    rows = SyntheticImpressions(num_sessions=300, session_length=4).test_dataloader().rows
    assert len(table) == len(rows.label)
    assert table[["click", "conversion"]].stack().between(0, 1).all()


def test_a_training_is_resumed(fitted: Path) -> None:
    shutil.copytree(fitted / "DDPG", ".", dirs_exist_ok=True)
    assert (
        main(["fit", *model_of("DDPG"), *DATA, *TRAINER, "--trainer.max_epochs=2", f"--ckpt_path={checkpoint()}"]) == 0
    )
    states = [torch.load(path, weights_only=True)["training_state"] for path in Path("lightning_logs").rglob("*.ckpt")]
    first, second = sorted(state["updates"] for state in states)
    assert second == 2 * first


def test_a_checkpoint_is_tested_without_the_actors_file(fitted: Path) -> None:
    shutil.copytree(fitted / "TD3BC", ".", dirs_exist_ok=True)
    Path("actor.ckpt").unlink()
    model = ["--model=TD3BC", "--model.actor=actor.ckpt"]
    assert main(["test", *model, *DATA, *TRAINER, f"--ckpt_path={checkpoint()}"]) == 0


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--model.actor=none.ckpt"], 1, "there is no checkpoint 'none.ckpt'"),
        (["--model.gamma=1.5"], 1, r"gamma is the discount"),
        (["--model.behaviour=greedy"], 2, "behaviour"),
        (["--model.reward=profit"], 2, "reward"),
        (["--model.memory_size=10"], 1, "memory_size, the replay's capacity, must hold at least a batch"),
        (["--model.gama=0.5"], 2, "DDPG has no argument 'gama'"),
    ],
)
def test_mistakes_are_told_in_a_line(
    options: list[str], status: int, message: str, actor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--model=DDPG", f"--model.actor={actor}", *SMALL, *options, *DATA, *TRAINER]) == status
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_an_actor_of_other_data_is_refused(actor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ["--data.impressions.num_categories=[50,100,20,5]"]
    assert main(["fit", "--model=DDPG", f"--model.actor={actor}", *SMALL, *DATA, *other, *TRAINER]) == 1
    assert "indices in field 0 where the data has" in capsys.readouterr().err


def test_values_that_are_not_finite_are_told(actor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model=DDPG", f"--model.actor={actor}", *SMALL, "--model.critic_lr=1e30"]
    assert main(["fit", *model, *DATA, *TRAINER, "--trainer.max_epochs=5"]) == 1
    assert "the critics' values or loss stopped being finite at update" in capsys.readouterr().err
