"""Models that train on critic-weighted losses, through the command line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from datamodules import SyntheticImpressions
from lightning_modules.cli.main import main
from tests.agents.stored_agents import write_agent
from tests.cli.cli_helpers import TRAINER

DATA = ["--data=SyntheticImpressions", "--data.num_sessions=300"]
SMALL = ["--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
OPTIONS = [*SMALL, *DATA, *TRAINER]
LOSS = ["--model=ESMM", "--model.loss=CriticWeightedLoss"]
#: A logger that needs no other package, for the weights.
LOGGED = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=.", "--trainer.log_every_n_steps=1"]


@pytest.fixture(autouse=True)
def _agent(tmp_path: Path) -> None:
    data = SyntheticImpressions(num_sessions=300)
    write_agent(tmp_path / "agent.ckpt", data.field_sizes, data.num_numerical, data.tasks)


def trained_loss() -> dict[str, Any]:
    """Return the loss's description in the last checkpoint."""
    (checkpoint,) = Path("lightning_logs").rglob("last.ckpt")
    return torch.load(checkpoint, weights_only=True)["hyper_parameters"]["loss"]


def test_a_formula_is_weighted_and_the_model_tested_without_the_agent() -> None:
    loss = [*LOSS, "--model.loss.agent=agent.ckpt", "--model.loss.base", "(label - pred)**2"]
    assert main(["fit", *loss, "--model.loss.variant=label_q", *OPTIONS, *LOGGED]) == 0
    arguments = trained_loss()["init_args"]
    assert arguments["base"]["init_args"]["formula"] == "(label - pred)**2"
    assert (arguments["agent"], arguments["polish_lambda"], arguments["variant"]) == ("agent.ckpt", 1.0, "label_q")
    table = pd.read_csv(next(Path("lightning_logs").rglob("metrics.csv")))
    assert (table["weight/click/q95"].dropna() > 0).all()
    Path("agent.ckpt").unlink()
    checkpoint = next(Path("lightning_logs").rglob("*.ckpt"))
    assert main(["test", "--model=ESMM", *OPTIONS, f"--ckpt_path={checkpoint}"]) == 0
    assert main(["test", *loss, *OPTIONS, f"--ckpt_path={checkpoint}"]) == 0


def test_a_configuration_file_describes_it_and_options_override_it() -> None:
    formula = {"class_path": "FormulaLoss", "init_args": {"formula": "-label * log(pred)"}}
    loss = {"class_path": "CriticWeightedLoss", "init_args": {"agent": "agent.ckpt", "base": formula}}
    Path("model.yaml").write_text(yaml.safe_dump({"model": {"class_path": "MMoE", "init_args": {"loss": loss}}}))
    assert main(["fit", "--config=model.yaml", "--model.loss.polish_lambda=0.5", *OPTIONS]) == 0
    arguments = trained_loss()["init_args"]
    assert arguments["base"]["init_args"]["formula"] == "-label * log(pred)"
    assert arguments["polish_lambda"] == 0.5


def test_the_critics_of_a_trained_agent_weigh_the_loss_on_its_data_alone(capsys: pytest.CaptureFixture[str]) -> None:
    sessions = ["--data=SessionsDataModule", "--data.impressions=SyntheticImpressions"]
    sizes = ["--model.embed_dim=4", "--model.bottom_mlp_dims=[8]", "--model.tower_mlp_dims=[4]"]
    actor = "--model.actor={class_path: lightning_modules.multitask.MMoE, init_args: {embedding_dim: 4}}"
    to_train = ["--data.impressions.num_sessions=300", "--trainer.default_root_dir=agent"]
    assert main(["fit", "--model=DDPG", actor, *sizes, *sessions, *to_train, *TRAINER]) == 0
    (agent,) = Path("agent").rglob("*.ckpt")
    assert main(["fit", *LOSS, f"--model.loss.agent={agent}", *OPTIONS, *LOGGED]) == 0
    table = pd.read_csv(next(Path("lightning_logs").rglob("metrics.csv")))
    assert (table["weight/conversion/mean"].dropna() > 1).all()
    # The same features, but other labels.
    capsys.readouterr()
    assert main(["fit", *LOSS, f"--model.loss.agent={agent}", *OPTIONS, *LOGGED, "--data.click_offset=1"]) == 1
    said = capsys.readouterr().err
    assert f"'{agent}' was begun with other data: train, validation, test: other values of label click" in said
    assert "or fit critics to these" in said


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ([], 2, "the following arguments are required: --model.loss.agent"),
        (["--model.loss.agent=none.ckpt"], 1, "'none.ckpt'"),
        (["--model.loss.agent=agent.ckpt", "--model.loss.polish_lambda=-1"], 1, "polish_lambda must be >= 0"),
        (["--model.loss.agent=agent.ckpt", "--model.loss.variant=q"], 2, "needs one of one_minus_q"),
        (["--model.loss.agent=agent.ckpt", "--model.loss.base=Fokal"], 2, "no class 'Fokal'; did you mean Focal?"),
        (["--model.loss.agent=agent.ckpt", "--model.loss.base=lable - pred"], 1, "unknown name 'lable'"),
        (["--model.loss.agent=agent.ckpt", "--data.num_features=3"], 1, "cannot weigh this loss: it has"),
    ],
)
def test_what_cannot_be_is_said_in_short(
    options: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *LOSS, *OPTIONS, *options]) == status
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in error
