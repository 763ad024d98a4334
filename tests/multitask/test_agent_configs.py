"""Every configuration of an agent runs as it stands, given an actor and the data's folder."""

from pathlib import Path

import pytest

from lightning_modules.cli.main import main
from tests.multitask.published_layouts import WRITERS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(path for path in (CONFIGS / "agents").glob("*.yaml") if path.stem.endswith(("ddpg", "td3_bc")))
ACTOR = ["--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
SMALL = ["--model.embed_dim=4", "--model.bottom_mlp_dims=[8]", "--model.tower_mlp_dims=[4]", "--model.batch_size=64"]
QUICK = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]


def test_the_files_are_found() -> None:
    assert {path.stem for path in FILES} == {
        f"{data}_{agent}" for data in ("kuairand", "synthetic") for agent in ("ddpg", "td3_bc")
    }


@pytest.fixture(scope="module")
def kuairand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small KuaiRand."""
    folder = tmp_path_factory.mktemp("kuairand")
    WRITERS["kuairand"](folder)
    return folder


@pytest.fixture(scope="module")
def actors(kuairand: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    """Return the option that makes the data small, and the checkpoint of a model, by the name of the data."""
    options = {"kuairand": f"root={kuairand}", "synthetic": "num_sessions=200"}
    found = {}
    for data, rows in options.items():
        folder = tmp_path_factory.mktemp("actor")
        model = CONFIGS / "multitask" / data / "esmm.yaml"
        keeps = f"--trainer.default_root_dir={folder}"
        assert main(["fit", f"--config={model}", f"--data.{rows}", *ACTOR, *QUICK, keeps]) == 0
        found[data] = rows, next(folder.rglob("best.ckpt"))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:.*long_view without click")
def test_every_file_trains_and_tests(path: Path, actors: dict[str, tuple[str, Path]], tmp_path: Path) -> None:
    rows, actor = actors[path.stem.partition("_")[0]]
    quick = [*QUICK, f"--trainer.default_root_dir={tmp_path}"]
    options = [f"--config={path}", f"--data.impressions.{rows}", f"--model.actor={actor}", *SMALL, *quick]
    assert main(["fit", *options]) == 0
    agent = tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt"
    assert main(["test", *options, f"--ckpt_path={agent}"]) == 0
