"""What a fit leaves, and what the other verbs take from it."""

import contextlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from pytorch_lightning import LightningModule

from lightning_modules.cli.checkpoint_settings import other_sizes
from lightning_modules.cli.main import main
from tests.cli.cli_helpers import TRAINER, write_split
from tests.cli.test_agents import ACTOR, SMALL
from tests.cli.test_agents import DATA as SESSIONS

DATA = ["--data=SyntheticInteractions", "--data.num_users=60", "--data.num_items=50", "--data.num_interactions=2000"]
MODEL = ["--model=BiasedMF", "--model.embedding_dim=4", "--model.loss=(label - pred)**2"]
ROOT = Path("lightning_logs/version_0/checkpoints")

OWN_MODEL = """
from lightning_modules.recommenders import BiasedMF


class Wider(BiasedMF):
    def __init__(self, num_users, num_items, *, embedding_dim: int, **options):
        super().__init__(num_users, num_items, embedding_dim=2 * embedding_dim, **options)
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plain fit; tests only read it."""
    folder = tmp_path_factory.mktemp("fitted")
    with contextlib.chdir(folder):
        assert main(["fit", *MODEL, *DATA, *TRAINER]) == 0
    return folder


@pytest.fixture
def checkpoint(fitted: Path, tmp_path: Path) -> Path:
    """The checkpoint of a plain fit in this folder."""
    shutil.copytree(fitted / "lightning_logs", tmp_path / "lightning_logs")
    return tmp_path / ROOT / "best.ckpt"


def evaluated(capsys: pytest.CaptureFixture[str], *options: object, verb: str = "test") -> str:
    """Return the table of an evaluation."""
    capsys.readouterr()
    assert main([verb, "--trainer.accelerator=cpu", *map(str, options)]) == 0
    return "\n".join(line for line in capsys.readouterr().out.splitlines() if f"{verb[:3]}" in line and "/" in line)


def kept(run: Path) -> list[str]:
    """Return the checkpoints of a run."""
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*.ckpt"))


def test_a_plain_fit_keeps_the_best_and_the_last_epoch(checkpoint: Path) -> None:
    assert kept(checkpoint.parent.parent) == ["checkpoints/best.ckpt", "resume/last.ckpt"]


@pytest.mark.parametrize("option", ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks+=LastCheckpoint"])
def test_callbacks_that_are_asked_for_are_kept(option: str) -> None:
    monitor = ["--trainer.callbacks.monitor=val/auc"] if "Stopping" in option else []
    assert main(["fit", *MODEL, *DATA, *TRAINER, option, *monitor]) == 0
    own = "LastCheckpoint" in option
    assert kept(ROOT.parent) == (["checkpoints/last.ckpt"] if own else ["checkpoints/best.ckpt", "resume/last.ckpt"])


def test_a_fit_that_is_to_keep_nothing_keeps_nothing() -> None:
    assert main(["fit", *MODEL, *DATA, *TRAINER, "--trainer.enable_checkpointing=false"]) == 0
    assert not ROOT.exists()


def test_model_and_data_come_from_the_checkpoint(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = evaluated(capsys, *MODEL, *DATA, f"--ckpt_path={checkpoint}")
    assert given.count("test/") > 5
    assert evaluated(capsys, "--ckpt_path", checkpoint) == given
    assert evaluated(capsys, *DATA, "--ckpt_path", checkpoint) == given
    assert evaluated(capsys, "--ckpt_path", checkpoint, "--model", "BiasedMF") == given
    assert "val/auc" in evaluated(capsys, "--ckpt_path", checkpoint, verb="validate")
    assert main(["predict", f"--ckpt_path={checkpoint}", "--output=p.csv", "--trainer.accelerator=cpu"]) == 0
    assert len(pd.read_csv("p.csv")) == 200


def test_settings_of_another_kind_of_data_are_not_taken_over(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_split(Path("shop"))
    arguments = ["test", "--data=InteractionsDataModule", f"--data.root={folder}", f"--ckpt_path={checkpoint}"]
    # The rows are others, and so are the sizes of the embeddings.
    assert main([*arguments, "--trainer.accelerator=cpu"]) == 1
    said = capsys.readouterr().err
    # Of both there is one more, for those that training does not know.
    assert re.search(r"trained with 61 users and 51 items, and these data have \d+ users and \d+ items\. Give ", said)
    assert "size mismatch" not in said


@pytest.mark.parametrize(("verb", "use"), [("test", "used"), ("fit", "gone on from")])
def test_weights_of_another_model_are_told_from_other_data(
    verb: str, use: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    stored["state_dict"] = {f"network.of.another.library.{name}": each for name, each in stored["state_dict"].items()}
    torch.save(stored, "other.ckpt")
    assert main([verb, "--ckpt_path=other.ckpt", *TRAINER]) == 1
    said = capsys.readouterr().err
    assert f"'other.ckpt' cannot be {use} (Error(s) in loading state_dict for BiasedMF: Missing key(s)" in said
    assert "...). Name the checkpoint of this model" in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_users", 1200, "1,200 users"),
        ("num_numerical", 3, "3 numerical features"),
        ("field_sizes", [3, 40], "the field sizes [3, 40]"),
        ("tasks", ["click", "buy"], "the tasks ['click', 'buy']"),
    ],
)
def test_sizes_that_differ_are_said_in_words(name: str, value: Any, words: str, tmp_path: Path) -> None:
    model = LightningModule()
    model.save_hyperparameters({name: value, "embedding_dim": 4})
    path = tmp_path / "model.ckpt"
    arguments = {"_class_path": "any.Model", name: value, "num_items": 5, "embedding_dim": 8}
    torch.save({"hyper_parameters": arguments}, path)
    assert other_sizes(str(path), model) == ""
    torch.save({"hyper_parameters": arguments | {name: [7]}}, path)
    assert f"these data have {words}. Give" in other_sizes(str(path), model)


def test_a_fit_without_logger_keeps_its_settings_beside_its_checkpoints() -> None:
    Path("config.yaml").write_text("mine: true\n")
    quiet = [*MODEL, *DATA, *TRAINER, "--trainer.logger=false"]
    assert main(["fit", *quiet]) == 0
    assert Path("config.yaml").read_text() == "mine: true\n"
    assert yaml.safe_load(Path("checkpoints", "config.yaml").read_text())["trainer"]["logger"] is False
    assert main(["fit", *quiet, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0
    assert torch.load("resume/last.ckpt", weights_only=True)["epoch"] == 1
    assert main(["test", *quiet, "--ckpt_path=last"]) == 0


def test_what_keeps_nothing_writes_no_settings(checkpoint: Path) -> None:
    before = sorted(Path().rglob("*"))
    assert main(["fit", *MODEL, *DATA, *TRAINER, "--trainer.logger=false", "--trainer.enable_checkpointing=false"]) == 0
    assert main(["test", f"--ckpt_path={checkpoint}", "--trainer.logger=false", "--trainer.accelerator=cpu"]) == 0
    assert sorted(Path().rglob("*")) == before


def test_a_training_goes_on_from_a_file_alone(checkpoint: Path) -> None:
    options = ["--trainer.max_epochs=3", "--trainer.accelerator=cpu", "--trainer.default_root_dir=more"]
    assert main(["fit", f"--ckpt_path={checkpoint.parent.parent / 'resume' / 'last.ckpt'}", *options]) == 0
    assert torch.load("more" / ROOT.parent / "resume" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_what_contradicts_the_checkpoint_is_said(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match=r"the model is as in '.*best\.ckpt', .*--model\.embedding_dim is 8, there 4"):
        changed = evaluated(capsys, "--ckpt_path", checkpoint, "--model.embedding_dim=8")
    assert changed == evaluated(capsys, "--ckpt_path", checkpoint)
    with pytest.warns(UserWarning, match=r"data are not as in the training of .*--data\.data_seed is 1, there 0"):
        evaluated(capsys, "--ckpt_path", checkpoint, "--data.data_seed=1")


def test_the_same_settings_again_contradict_nothing(checkpoint: Path, recwarn: pytest.WarningsRecorder) -> None:
    batches = ["--data.batch_size=64", "--data.eval_batch_size=64"]
    assert main(["test", *MODEL, *DATA, *batches, f"--ckpt_path={checkpoint}", "--trainer.accelerator=cpu"]) == 0
    assert not [str(each.message) for each in recwarn if "checkpoint" in str(each.message)]


def test_another_model_than_the_checkpoints_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--model=DeepMF", *DATA, f"--ckpt_path={checkpoint}"]) == 1
    assert "holds another model: --model is lightning_modules.recommenders.DeepMF" in capsys.readouterr().err


def test_a_model_that_does_not_fit_the_data_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--data=SyntheticImpressions", f"--ckpt_path={checkpoint}"]) == 1
    assert "BiasedMF needs num_users, num_items of its data" in capsys.readouterr().err


def test_a_checkpoint_without_data_asks_for_them(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    del stored["datamodule_hyper_parameters"]
    torch.save(stored, "older.ckpt")
    assert main(["test", "--ckpt_path=older.ckpt"]) == 1
    message = capsys.readouterr().err
    assert "--data is missing" in message
    assert "--model" not in message
    assert "test/auc" in evaluated(capsys, *DATA, "--ckpt_path=older.ckpt")


def test_a_checkpoint_imports_no_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("widened.py").write_text(OWN_MODEL)
    assert main(["fit", "--model=widened.Wider", "--model.embedding_dim=2", *DATA, *TRAINER]) == 0
    del sys.modules["widened"]
    capsys.readouterr()
    assert main(["test", f"--ckpt_path={ROOT / 'best.ckpt'}"]) == 1
    assert "model of the class widened.Wider, which is imported only if it is named" in capsys.readouterr().err
    assert "widened" not in sys.modules
    assert "test/auc" in evaluated(capsys, f"--ckpt_path={ROOT / 'best.ckpt'}", "--model=widened.Wider")


@pytest.mark.parametrize("kind", ["recommender", "multitask", "agent"])
def test_an_undefined_metric_that_ends_a_training_is_said(kind: str, tmp_path: Path) -> None:
    impressions = ["--data=SyntheticImpressions", "--data.num_sessions=100", "--data.conversion_offset=-60"]
    actor = ["--model=DDPG", *SMALL, '--model.actor={"class_path": "lightning_modules.multitask.ESMM"}']
    commands = {
        "recommender": [
            *MODEL,
            "--data=InteractionsDataModule",
            f"--data.root={write_split(tmp_path, validation=(0,))}",
        ],
        "multitask": [*ACTOR, *impressions],
        "agent": [*actor, *SESSIONS, "--data.impressions.conversion_offset=-60"],
    }
    stopping = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/auc"]
    with pytest.warns(UserWarning, match=r"EarlyStopping ended the training after epoch 1 because val/auc is nan"):
        assert main(["fit", *commands[kind], *TRAINER, "--trainer.max_epochs=3", *stopping]) == 0
