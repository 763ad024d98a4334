from pathlib import Path

import pytest
import torch
import yaml

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import write_split

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "recommenders"
MODELS = sorted(CONFIGS.glob("*.yaml"))
LOSSES = sorted((CONFIGS / "losses").glob("*.yaml"))
PAIRWISE = ("bpr", "ranknet")
#: A loss of pairs, one with arguments and a formula.
FEW = ("bpr", "focal", "formula")
QUICK = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("data") / "shop")


def fit(configs: list[Path], root: Path, output: Path) -> dict:
    files = [f"--config={path}" for path in configs]
    assert main(["fit", *files, f"--data.root={root}", f"--trainer.default_root_dir={output}", *QUICK]) == 0
    (checkpoint,) = output.rglob("best.ckpt")
    return torch.load(checkpoint, weights_only=True)["hyper_parameters"]


def test_the_files_are_found() -> None:
    assert [path.stem for path in MODELS] == ["biased_mf", "deep_mf", "ranknet"]
    assert len(LOSSES) == 10


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_trains(path: Path, root: Path, tmp_path: Path) -> None:
    stored = fit([path], root, tmp_path)
    assert stored["_class_path"] == yaml.safe_load(path.read_text())["model"]["class_path"]


def model_and_loss(path: Path) -> tuple[Path, dict]:
    """Return the file of the model that a file of a loss goes with, and that loss."""
    model = CONFIGS / ("ranknet.yaml" if path.stem in PAIRWISE else "biased_mf.yaml")
    return model, yaml.safe_load(path.read_text())["model"]["init_args"]["loss"]


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_every_loss_is_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, loss = model_and_loss(path)
    assert main(["fit", f"--config={model}", f"--config={path}", "--print_config"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["loss"]
    assert found["class_path"] == loss["class_path"]
    assert found.get("init_args", {}).items() >= loss.get("init_args", {}).items()


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in FEW else pytest.mark.slow, id=path.stem) for path in LOSSES],
)
def test_every_loss_lies_on_top_of_a_model(path: Path, root: Path, tmp_path: Path) -> None:
    model, loss = model_and_loss(path)
    assert fit([model, path], root, tmp_path)["loss"] == {"init_args": {}, **loss}
